import type { PresetInput } from './preset.ts'

export const us: PresetInput = {
  id: 'us',
  title: 'United States: federal rules for mammography and for hospital radiology',
  version: '2026-11-24',
  sources: [
    {
      rule: 'us-mammography',
      text: '21 CFR 900.12(c)(4)(i): mammograms not less than 5 years, not less than 10 if no additional mammograms of the patient are performed at the facility, longer where state or local law says so',
      checked: true,
    },
    {
      rule: 'us-radiology',
      text: '42 CFR 482.26(d)(2): reports, printouts, films, scans and other image records at least 5 years',
      checked: false,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    '21 CFR 900.12(c)(4)(i) was read as a vendor quotes it. Of 42 CFR 482.26 only the text up to paragraph (d)(1) could be read.',
    'State law is often longer, above all for minors, and is not in here.',
    'The rule for mammograms is applied to every mammogram. A later one lets the 10 years become 5; Firn never shortens a date it has decided, so that counts only for mammograms that arrive when a later one is already known.',
    'Other rules (claims under Medicare, HIPAA documentation, statutes of limitation) are not about images and are not in here.',
  ],
  rules: [
    { id: 'us-mammography', class: 'mammography-screening', years: 10, yearsIfFollowed: 5, anchor: 'study-date' },
    { id: 'us-radiology', class: 'any', years: 5, anchor: 'study-date' },
  ],
}

import type { PresetInput } from './preset.ts'

export const de: PresetInput = {
  id: 'de',
  title: 'Germany: radiation protection law, civil code',
  version: '2026-11-24',
  sources: [
    {
      rule: 'de-treatment',
      text: 'StrlSchG s. 85(2) no. 1: treatments, 30 years',
      checked: true,
    },
    {
      rule: 'de-examination',
      text: 'StrlSchG s. 85(2) no. 2(a): examinations of a person of full age, ten years',
      checked: true,
    },
    {
      rule: 'de-examination-minor',
      text: 'StrlSchG s. 85(2) no. 2(b): examinations of a minor, until completion of the 28th year of life',
      checked: true,
    },
    {
      rule: 'de-research',
      text: 'StrlSchV s. 140(1): consents 30 years from their declaration, records 30 years from the last application',
      checked: true,
    },
    { rule: 'de-record', text: 'BGB s. 630f(3): ten years after the end of treatment', checked: false },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'StrlSchG s. 85(2) and StrlSchV s. 140(1) were read in private editions of the law, not in the official one.',
    'StrlSchG s. 85(2) does not say from when the years count. Counted here from the last treatment or examination of the patient, the later reading; the older RöV s. 28(3) is said to have put it so, but was not read.',
    'StrlSchG is about ionising radiation. MR and ultrasound are kept as examinations all the same; BGB s. 630f(3) asks for no less.',
    'A person is a minor until the end of the day before the 18th birthday (BGB ss. 2, 187(2), 188(2)). Whether somebody was a minor is asked for the day of the study.',
    'A period that would end on a missing 29 February ends on 28 February (BGB s. 188(3)).',
    'BGB s. 630f(3) gives way to other laws; it is used for records only. The end of treatment is rarely known to an archive: the last study or recorded contact counts.',
    'Claims for injury expire after 30 years at the latest (BGB s. 199(2)), which is why hospitals are advised to keep 30 years. That is the house minimum, not a rule here.',
    'The competent authority may ask for records to be handed over when a practice closes (StrlSchG s. 85(2) sentence 2): place a hold.',
  ],
  rules: [
    { id: 'de-treatment', class: 'treatment', years: 30, anchor: 'last-of-class', leapDay: 'feb-28' },
    { id: 'de-examination', class: 'examination', years: 10, anchor: 'last-of-class', leapDay: 'feb-28' },
    {
      id: 'de-examination-minor',
      class: 'examination',
      years: 0,
      anchor: 'study-date',
      leapDay: 'feb-28',
      untilAge: { age: 28, ends: 'completed', on: 'study', below: 18 },
    },
    { id: 'de-screening', class: 'mammography-screening', years: 10, anchor: 'last-of-class', leapDay: 'feb-28' },
    { id: 'de-research', class: 'research', years: 30, anchor: 'last-of-class', leapDay: 'feb-28' },
    { id: 'de-research-consent', class: 'research', years: 30, anchor: 'event:consent', leapDay: 'feb-28' },
    {
      id: 'de-research-application',
      class: 'research',
      years: 30,
      anchor: 'event:last-application',
      leapDay: 'feb-28',
    },
    { id: 'de-record', class: 'record', years: 10, anchor: 'last-contact', leapDay: 'feb-28' },
  ],
}

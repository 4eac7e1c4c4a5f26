import type { PresetInput } from './preset.ts'

export const nl: PresetInput = {
  id: 'nl',
  title: 'Netherlands: contract of medical treatment (WGBO)',
  version: '2026-11-24',
  sources: [
    {
      rule: 'nl-record',
      text: 'BW art. 7:454(3): 20 years from the last change of the file, or longer as good care demands',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'Read as lawyers explain it. They hold that changes without medical content do not count.',
    'A change of the file is seldom known to an archive: the last study, contact or event of the kind `entry` counts.',
    'Public archives law may ask university hospitals for far more. It was not looked up and is not in here.',
    'Which law says how a period ends on a missing day was not looked up; 1 March counts, the later reading.',
  ],
  rules: [{ id: 'nl-record', class: 'any', years: 20, anchor: 'last-contact' }],
}

import type { PresetInput } from './preset.ts'

export const fr: PresetInput = {
  id: 'fr',
  title: 'France: health establishments',
  version: '2026-11-24',
  sources: [
    {
      rule: 'fr-dossier',
      text: 'Code de la santé publique art. R. 1112-7: 20 years from the last stay or outpatient visit; to the 28th birthday if that is later; if the patient dies less than 10 years after the last visit, 10 years from death; claims suspend',
      checked: true,
    },
    {
      rule: 'fr-transfusion',
      text: 'instruction of 14 August 2007: records of transfusions 30 years from the act',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'The article was read as others quote and explain it, not in its official edition.',
    'A death within 10 years takes the place of the 20 years and of the 28th birthday, and so can give an earlier date than before the death was known. Firn never shortens a date it has decided: it counts only for studies that arrive after the death was recorded.',
    'A death whose date is not certain to lie between the last visit and 10 years after it shortens nothing.',
    'The 28th birthday itself is kept.',
    'Claims, also those out of court, are events of the kind `claim`; while one is open nothing expires, and its days are added afterwards. It was not found whether the 30 years for transfusions stand still too; here they do, the later reading.',
    'Public archives law: destruction needs the consent of the archives of the département. Firn does not ask for it; your approvers must.',
    'Code de procédure civile art. 641 on periods that end on a missing day was not read; 1 March counts, the later reading.',
  ],
  rules: [
    {
      id: 'fr-dossier',
      class: 'any',
      years: 20,
      anchor: 'last-contact',
      untilAge: { age: 28, ends: 'birthday' },
      deathRule: { years: 10, effect: 'instead', withinYears: 10 },
      suspendOn: 'claim',
    },
    { id: 'fr-transfusion', class: 'any', years: 30, anchor: 'event:transfusion', suspendOn: 'claim' },
  ],
}

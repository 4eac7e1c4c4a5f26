/**
 * Germany. How the dates were found: a period of years that an event sets going ends with the day of the same name (BGB
 * ss. 187(1), 188(2)), on 28 February where that day is missing (s. 188(3)); a year of life ends with the day before the
 * birthday (s. 187(2)). `table.ts` says what the columns mean. Without `house` the house minimum is 0, so that the law's
 * own date shows.
 */
export const DE = `
id | class | study | born | received | more | until | rule | why
de-01 | treatment | 20100315 | 19600101 | - | - | 2040-03-15 | de-treatment | 30 years from the only treatment
de-02 | treatment | 19960229 | 19600101 | - | - | 2026-02-28 | de-treatment | 2026 has no 29 February: the period ends on the 28th
de-03 | treatment | 20000229 | - | - | - | 2030-02-28 | de-treatment | the same for 2030; ages don't matter to treatments
de-04 | treatment | 20100315 | 19600101 | - | last treatment=20150620 | 2045-06-20 | de-treatment | 30 years from the last treatment, in 2015
de-05 | treatment | 20100315 | 19600101 | - | last examination=20200101 | 2040-03-15 | de-treatment | a later examination is no treatment
de-06 | treatment examination | 20100315 | 19600101 | - | - | 2040-03-15 | de-treatment | planning CT and plan in one study: 2040 beats 2020
de-07 | treatment | 20100315 | 20080101 | - | - | 2040-03-15 | de-treatment | no rule of age for treatments, although 2 years old
de-08 | treatment | 2010 | 19600101 | 2011-01-05 | - | 2040-12-31 | de-treatment | only the year is known: as late as 31 December 2010
de-09 | treatment | 201003 | 19600101 | 2011-01-05 | - | 2040-03-31 | de-treatment | only the month is known: as late as 31 March
de-10 | treatment | - | 19600101 | 2012-07-01 | - | 2042-07-01 | de-treatment | date unknown: made at the latest on the day it came
de-11 | treatment | 20100230 | 19600101 | 2011-01-05 | - | 2040-02-28 | de-treatment | 30 February cannot be; some day of February, at the latest the 28th
de-12 | treatment | 20120229 | 19600101 | - | - | 2042-02-28 | de-treatment | 2042 is no leap year
de-13 | treatment | 20100315 | 19600101 | - | last treatment=2015 | 2045-12-31 | de-treatment | the last treatment was some day of 2015
de-14 | treatment examination | 20100315 | 20080101 | - | last examination=20380101 | 2048-01-01 | de-examination | treated as a child, examined in 2038: 10 years from then beat 2040 and 2035
de-20 | examination | 20100315 | 19600101 | - | - | 2020-03-15 | de-examination | of full age: ten years
de-21 | examination | 20120229 | 19600101 | - | - | 2022-02-28 | de-examination | 2022 has no 29 February
de-22 | examination | 20140228 | 19600101 | - | - | 2024-02-28 | de-examination | 28 February stays 28 February, also in a leap year
de-23 | examination | 20100315 | 19600101 | - | last examination=20130901 | 2023-09-01 | de-examination | a second examination extends the first
de-24 | examination | 20100315 | 19600101 | - | last examination=20080101 | 2020-03-15 | de-examination | an earlier one changes nothing
de-25 | examination | 20100315 | 19920315 | - | - | 2020-03-15 | de-examination | 18th birthday: of full age since the day began
de-26 | examination | 20100315 | 19920316 | - | - | 2020-03-15 | de-examination | last day as a minor: 28 years are completed on 15 March 2020, the same as ten years
de-27 | examination | 20100315 | 19920401 | - | - | 2020-03-31 | de-examination-minor | 17 years old: 28 completed on the day before 1 April 2020
de-28 | examination | 20100315 | 20100315 | - | - | 2038-03-14 | de-examination-minor | newborn: day before the 28th birthday
de-29 | examination | 20050601 | 20000229 | - | - | 2028-02-28 | de-examination-minor | born on 29 February, 2028 has one: the day before it
de-30 | examination | 20140228 | 19960229 | - | - | 2024-02-28 | de-examination | still 17 (birthday on 1 March): 28 completed on 28 February 2024, the same as ten years
de-31 | examination | 20140301 | 19960229 | - | - | 2024-03-01 | de-examination | 18 on 1 March 2014: ten years
de-32 | examination | 20800101 | 20720229 | 2080-01-01 | - | 2100-02-28 | de-examination-minor | 2100 is no leap year: birthday on 1 March, the day before is the 28th
de-33 | examination | 20150101 | 20041231 | - | - | 2032-12-30 | de-examination-minor | day before 31 December 2032
de-34 | examination | 20150101 | 20050101 | - | - | 2032-12-31 | de-examination-minor | day before 1 January 2033
de-35 | examination | 20100315 | - | - | - | 2038-03-14 | de-examination-minor | birth unknown: at the latest on the day of the study, as if newborn
de-36 | examination | - | - | 2012-07-01 | - | 2040-06-30 | de-examination-minor | nothing known: examined and born at the latest on 1 July 2012
de-37 | examination | 20100315 | 1993 | - | - | 2021-12-30 | de-examination-minor | born at the latest on 31 December 1993: a minor
de-38 | examination | 20100315 | 1992 | - | - | 2020-12-30 | de-examination-minor | a minor if born after 15 March; at the latest on 31 December 1992
de-39 | examination | 20100315 | 1991 | - | - | 2020-03-15 | de-examination | 18 on 31 December 2009 at the latest: of full age in any case
de-40 | examination | 20100315 | 199203 | - | - | 2020-03-30 | de-examination-minor | born at the latest on 31 March 1992: 17
de-41 | examination | 20100315 | 19921301 | - | - | 2020-12-30 | de-examination-minor | month 13 cannot be: only 1992 is known
de-42 | examination | 20100315 | UNKNOWN | - | - | 2038-03-14 | de-examination-minor | no year can be read: unknown
de-43 | examination | 2010 | 19920615 | 2011-01-05 | - | 2020-12-31 | de-examination | perhaps a minor (to 14 June 2020), but ten years from 31 December 2010 are later
de-44 | examination | 2010 | 19951231 | 2011-01-05 | - | 2023-12-30 | de-examination-minor | 14 years old all year
de-45 | examination | 20100601 | 20000101 | - | last examination=20250301 | 2035-03-01 | de-examination | examined at 10 and at 25: ten years from the second beat 31 December 2027
de-46 | examination | 20100601 | 20000101 | - | last examination=20160301 | 2027-12-31 | de-examination-minor | examined at 10 and at 16: 28 completed is later than 2026
de-47 | examination | 20100315 | 20110101 | - | - | 2038-12-31 | de-examination-minor | born after the study by its date: a contradiction, the later reading counts
de-48 | examination | 20300101 | 19600101 | 2026-01-01 | - | 2040-01-01 | de-examination | a study date that has not come yet is believed, because it keeps longer
de-49 | examination | 20100315 | 19600101 | - | event death=20110101 | 2020-03-15 | de-examination | German law has no rule for deaths
de-50 | examination | 20100315 | 19600101 | - | last treatment=20300101 | 2020-03-15 | de-examination | a treatment after it is another class and doesn't extend the examination
de-51 | examination | 20100315 | 19600101 | - | last treatment=20300101; last examination=20300101 | 2040-01-01 | de-examination | treatment and examination in 2030: ten years from that examination
de-52 | examination | 20100315 | 199202 | - | - | 2020-03-15 | de-examination | born at the latest on 29 February 1992: 18 by then
de-53 | examination | 2010.03.15 | 1992.04.01 | - | - | 2020-03-31 | de-examination-minor | dates with dots, as ACR-NEMA wrote them
de-60 | record | 20100315 | 19600101 | - | - | 2020-03-15 | de-record | no later contact known: ten years from the study
de-61 | record | 20100315 | 19600101 | - | event end-of-treatment=20141130 | 2024-11-30 | de-record | ten years from the end of treatment
de-62 | record | 20100315 | 19600101 | - | last any=20180505 | 2028-05-05 | de-record | came again in 2018, so treatment had not ended
de-63 | record | 20100315 | 19600101 | - | event end-of-treatment=2014 | 2024-12-31 | de-record | some day of 2014
de-64 | record | 20100315 | 19600101 | - | event end-of-treatment=?@2015-02-03 | 2025-02-03 | de-record | day unknown: at the latest when it was recorded
de-65 | record | 20100315 | 20080101 | - | - | 2020-03-15 | de-record | no rule of age for records
de-66 | record examination | 20100315 | 20080101 | - | - | 2035-12-31 | de-examination-minor | images with their report: the images of a child are kept longer
de-70 | research | 20100315 | 19600101 | - | - | 2040-03-15 | de-research | 30 years from the study, taken for the last application
de-71 | research | 20100315 | 19600101 | - | event consent=20110101 | 2041-01-01 | de-research-consent | 30 years from the consent
de-72 | research | 20100315 | 19600101 | - | event consent=20100101; event last-application=20121212 | 2042-12-12 | de-research-application | the last application is later than consent and study
de-73 | research | 20100315 | 19600101 | - | last research=20130303 | 2043-03-03 | de-research | 30 years from the last study of the trial
de-74 | research | 20120229 | 19600101 | - | event consent=20120229 | 2042-02-28 | de-research | both end on a missing 29 February
de-80 | - | 20100315 | 19600101 | - | - | 2040-03-15 | de-treatment | class unknown: the longest rule, as if a treatment
de-81 | - | 20100315 | 19600101 | - | last treatment=20150101 | 2045-01-01 | de-treatment | class unknown and treated in 2015: as if it were part of that
de-82 | mammography-screening | 20100315 | 19550101 | - | - | 2020-03-15 | de-screening | an examination with X-rays like any other
de-83 | - | - | - | 2012-07-01 | - | 2042-07-01 | de-treatment | nothing known at all: 30 years from the day it came
de-90 | examination | 20100315 | 19600101 | 2010-03-16 | house=30 | 2040-03-16 | house-minimum | the house keeps 30 years from arrival
de-91 | examination | 20100315 | 19600101 | 2010-03-16 | house=30/study-date | 2040-03-15 | house-minimum | a house that counts from the study
de-92 | examination | 19950510 | 19500101 | 2026-11-24 | house=30 | 2056-11-24 | house-minimum | an old study that came in a migration
de-93 | examination | 19950510 | 19500101 | 2026-11-24 | house=30/study-date | 2025-05-10 | house-minimum | the same where the house counts from the study
de-94 | examination | 20120229 | 19600101 | - | house=30 | 2042-03-01 | house-minimum | the house's own period ends on the later day
de-95 | examination | 20100315 | 19600101 | - | previous=2050-01-01 | 2050-01-01 | previous | decided for longer before: the policy became shorter, the date doesn't
de-96 | examination | 20100315 | 19600101 | - | previous=2015-01-01 | 2020-03-15 | de-examination | a shorter decision before is overtaken
de-97 | examination | 20100315 | 19600101 | - | previous=forever | forever | previous | what was to be kept for ever is
de-98 | treatment | 20100315 | 19600101 | 2010-03-16 | house=30 | 2040-03-16 | house-minimum | one day later than the law's 2040-03-15
de-99 | examination | 20100315 | 20100101 | - | previous=2038-03-14 | 2038-03-14 | previous | birth was unknown at first (2038-03-14), then corrected to 2010-01-01 (2037-12-31): it stays
`

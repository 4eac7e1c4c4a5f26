/**
 * France. How the dates were found: art. R. 1112-7; a period ends with the day of the same name, on 1 March where a 29
 * February is missing (the later reading); a suspension adds its days, both its first and its last.
 */
export const FR = `
id | class | study | born | received | more | until | rule | why
fr-01 | examination | 20100310 | 19600101 | - | - | 2030-03-10 | fr-dossier | 20 years from the only visit
fr-02 | examination | 20100310 | 19600101 | - | last any=20140707 | 2034-07-07 | fr-dossier | 20 years from the last visit
fr-03 | examination | 20100310 | 20080501 | - | - | 2036-05-01 | fr-dossier | the 28th birthday is later than 2030
fr-04 | examination | 20120310 | 20000501 | - | - | 2032-03-10 | fr-dossier | 20 years are later than the 28th birthday in 2028
fr-05 | examination | 20100310 | 20020310 | - | - | 2030-03-10 | fr-dossier | eight years old to the day: both dates are the same
fr-06 | examination | 20100310 | 20040229 | - | - | 2032-02-29 | fr-dossier | 28th birthday on a real 29 February
fr-07 | examination | 20750101 | 20720229 | - | - | 2100-03-01 | fr-dossier | 2100 has no 29 February: birthday on 1 March
fr-08 | examination | 20100310 | - | - | - | 2038-03-10 | fr-dossier | birth unknown: at the latest on the day of the visit
fr-09 | examination | 20100310 | 2005 | - | - | 2033-12-31 | fr-dossier | born at the latest on 31 December 2005
fr-10 | examination | 20100310 | 19600101 | - | event death=20150505 | 2025-05-05 | fr-dossier | died 5 years after the visit: 10 years from death instead of 20 from the visit
fr-11 | examination | 20100310 | 19600101 | - | event death=20210505 | 2030-03-10 | fr-dossier | died 11 years after: nothing changes
fr-12 | examination | 20100310 | 19600101 | - | event death=20200309 | 2030-03-09 | fr-dossier | died one day before ten years were over
fr-13 | examination | 20100310 | 19600101 | - | event death=20200310 | 2030-03-10 | fr-dossier | died ten years after to the day: not less than ten
fr-14 | examination | 20100310 | 20080501 | - | event death=20120601 | 2022-06-01 | fr-dossier | a child that died: no 28th birthday to wait for
fr-15 | examination | 20100310 | 19600101 | - | event death=2015 | 2025-12-31 | fr-dossier | died some day of 2015, all of it within ten years
fr-16 | examination | 20100310 | 19600101 | - | event death=2010 | 2030-03-10 | fr-dossier | 2010 might mean before the visit: not certain, so nothing is shortened
fr-17 | examination | 20100310 | 19600101 | - | event death=?@2016-01-01 | 2030-03-10 | fr-dossier | day of death unknown: nothing is shortened
fr-18 | examination | 20100310 | 19600101 | - | event death=2020 | 2030-03-10 | fr-dossier | within ten years only if before 10 March 2020: not certain, and at most 2030-03-09
fr-19 | examination | 20100310 | 19600101 | - | last any=20140707; event death=20240706 | 2034-07-06 | fr-dossier | ten years count from the last visit: one day less
fr-20 | examination | 20100310 | 19600101 | - | event claim#c1=20150101; event ended(c1)=20151231 | 2031-03-10 | fr-dossier | a claim through 2015 adds 365 days
fr-21 | examination | 20100310 | 19600101 | - | event claim#c1=20150101; event ended(c1)=20150630; event claim#c2=20150601; event ended(c2)=20151231 | 2031-03-10 | fr-dossier | two claims that overlap are 365 days together
fr-22 | examination | 20000310 | 19600101 | - | event claim#c1=20210101; event ended(c1)=20211231 | 2020-03-10 | fr-dossier | a claim after the end suspends nothing any more
fr-23 | examination | 20000310 | 19600101 | - | event claim#c1=20200301; event ended(c1)=20200331 | 2020-04-10 | fr-dossier | begun before the end: its 31 days count
fr-24 | examination | 20100310 | 19600101 | - | event claim#c1=20150101 | 2030-03-10 suspended c1 | fr-dossier | an open claim: no date is final
fr-25 | examination | 20100310 | 19600101 | - | event claim#c1=20160101; event ended(c1)=20161231 | 2031-03-11 | fr-dossier | 2016 has 366 days
fr-26 | examination | 20100310 | 19600101 | - | event death=20150505; event claim#c1=20160601; event ended(c1)=20160630 | 2025-06-04 | fr-dossier | ten years from death, and 30 days
fr-27 | examination | 20100310 | 19600101 | - | event transfusion=20100311 | 2040-03-11 | fr-transfusion | 30 years from the transfusion
fr-28 | examination | 20100310 | 19600101 | - | event transfusion=20100311; event death=20150505 | 2040-03-11 | fr-transfusion | the death doesn't touch the rule for transfusions
fr-29 | examination | 20120229 | 19600101 | - | - | 2032-02-29 | fr-dossier | 2032 is a leap year
fr-30 | examination | 20120229 | 19600101 | - | event death=20160229 | 2026-03-01 | fr-dossier | ten years from 29 February 2016: the later reading
fr-31 | record | 20100310 | 19600101 | - | - | 2030-03-10 | fr-dossier | the whole file, reports too
fr-32 | examination | 20100310 | 19600101 | - | house=30; event death=20150505 | 2040-03-10 | house-minimum | the house's 30 years stand whatever happens
fr-33 | examination | 20100310 | 19600101 | - | previous=2030-03-10; event death=20150505 | 2030-03-10 | previous | the death became known later: what was decided is not shortened
fr-34 | - | 20100310 | 19600101 | - | - | 2030-03-10 | fr-dossier | class unknown: all rules are about every class
fr-37 | examination | 20100310 | 19600101 | - | event death#d1=20150505; event voided(d1)=20150601 | 2030-03-10 | fr-dossier | the death was recorded by mistake and voided
fr-38 | examination | 20100310 | 19600101 | - | event claim#c1=20150101; event voided(c1)=20150601 | 2030-03-10 | fr-dossier | a claim recorded by mistake neither stops nor adds
fr-39 | examination | 20120229 | 19600101 | - | event death=20220228 | 2032-02-29 | fr-dossier | died ten years after or a day less, as one counts 29 February: not certain
fr-40 | examination | 20100331 | 19600101 | - | event death=202003 | 2030-03-31 | fr-dossier | died in March 2020: on the 31st it would have been ten years, so it is not certain
fr-41 | examination | 20100310 | 19600101 | - | event claim#c1=20150101; event ended(c1)=20151231; event claim#c2=20150301; event ended(c2)=20150401 | 2031-03-10 | fr-dossier | a claim within another adds nothing
fr-35 | examination | - | 19600101 | 2012-07-01 | - | 2032-07-01 | fr-dossier | visit at the latest on the day the study came
fr-36 | examination | 20100310 | 19600101 | - | event claim#c1=20150101; event ended(c1)=20151231; event claim#c2=20290101; event ended(c2)=20290131 | 2031-04-10 | fr-dossier | 365 days and then 31: 2031-03-10, 2031-04-10
`

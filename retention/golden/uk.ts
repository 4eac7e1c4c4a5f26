/**
 * England and the Royal College of Radiologists. How the dates were found: a period ends with the day of the same name,
 * on 1 March where a 29 February is missing; a birthday itself is kept, and is on 1 March where it is missing.
 */
export const ENGLAND = `
id | class | study | born | received | more | until | rule | why
en-01 | examination | 20100601 | 19600101 | - | - | 2018-06-01 | en-adult | 8 years after last seen
en-02 | examination | 20100601 | 19600101 | - | last any=20150202 | 2023-02-02 | en-adult | seen again in 2015
en-03 | examination | 20100601 | 19600101 | - | event contact=20160303 | 2024-03-03 | en-adult | seen in a clinic in 2016
en-04 | examination | 20110601 | 20000915 | - | - | 2025-09-15 | en-child | ten years old: to the 25th birthday
en-05 | examination | 20180601 | 20000915 | - | - | 2026-09-15 | en-child-17 | seen at 17: to the 26th birthday
en-06 | examination | 20170915 | 20000915 | - | - | 2026-09-15 | en-child-17 | 17th birthday: 17 years old
en-07 | examination | 20170914 | 20000915 | - | - | 2025-09-15 | en-child | one day before: 16; the 25th birthday is one day after the 8 years
en-08 | examination | 20180915 | 20000915 | - | - | 2026-09-15 | en-adult | 18th birthday: 8 years
en-09 | examination | 20180914 | 20000915 | - | - | 2026-09-15 | en-child-17 | last day at 17
en-10 | examination | 20110601 | 20000915 | - | last any=20180301 | 2026-09-15 | en-child-17 | made at 10, last seen at 17: 26th birthday, after 2026-03-01
en-11 | examination | 20110601 | 20000915 | - | last any=20310101 | 2039-01-01 | en-adult | made at 10, last seen at 30
en-12 | examination | 20100601 | - | - | - | 2035-06-01 | en-child | birth unknown: as if newborn, to the 25th birthday
en-13 | examination | 20200615 | 2003 | - | - | 2029-06-15 | en-child-17 | if born by 15 June 17, to the 26th birthday; if later 16, to the 25th on 2028-12-31 at most
en-14 | examination | 20100601 | 20040229 | - | - | 2029-03-01 | en-child | 2029 has no 29 February
en-15 | examination | 20210228 | 20040229 | - | - | 2029-03-01 | en-child | still 16 on 28 February 2021
en-16 | examination | 20210301 | 20040229 | - | - | 2030-03-01 | en-child-17 | 17 since 1 March 2021
en-17 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=20100701 | 2040-07-01 | en-cancer | 30 years from diagnosis
en-18 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=20100701; event death=20350101 | 2043-01-01 | en-cancer | 8 years after death are later than 2040
en-19 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=20100701; event death=20120101 | 2040-07-01 | en-cancer | 8 years after death are earlier than 2040
en-20 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=20100701; event diagnosis-of-cancer=20150101 | 2045-01-01 | en-cancer | the later diagnosis counts
en-21 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=2010 | 2040-12-31 | en-cancer | some day of 2010
en-22 | mammography-screening | 20100601 | 19550101 | - | - | 2020-06-01 | en-screening | screening: 10 years
en-23 | mammography-screening | 20100601 | 19550101 | - | last any=20190101 | 2027-01-01 | en-adult | seen again in 2019: 8 years from then are later
en-24 | - | 20100601 | 19600101 | - | - | 2020-06-01 | en-screening | class unknown: the longest, as if screening
en-25 | examination | 20100601 | 19600101 | - | event diagnosis-of-cancer=?@2011-05-05 | 2041-05-05 | en-cancer | day of diagnosis unknown: at the latest when it was recorded
en-26 | examination | 20100601 | 19600101 | - | event death=20110101 | 2018-06-01 | en-adult | without cancer a death changes nothing
en-27 | examination | 20130228 | 19600101 | - | event contact=20130301 | 2021-03-01 | en-adult | seen on the next day
en-28 | examination | 20920229 | 20000101 | - | - | 2100-03-01 | en-adult | 8 years from 29 February 2092; 2100 has none
`
export const RCR = `
id | class | study | born | received | more | until | rule | why
rcr-01 | examination | 20100601 | 19600101 | - | - | 2040-06-01 | rcr-imaging | 30 years after last seen
rcr-02 | examination | 20100601 | 19600101 | - | last any=20180808 | 2048-08-08 | rcr-imaging | seen again in 2018
rcr-03 | examination | 20100601 | 19600101 | - | event death=20350101 | 2045-01-01 | rcr-imaging | 10 years after death are later
rcr-04 | examination | 20100601 | 19600101 | - | event death=20120101 | 2040-06-01 | rcr-imaging | 10 years after death are earlier: the later of the two readings
rcr-05 | examination | 20100601 | 20090101 | - | - | 2040-06-01 | rcr-imaging | the same for children
rcr-06 | examination | 20080229 | 19600101 | - | - | 2038-03-01 | rcr-imaging | 2038 has no 29 February
rcr-07 | examination | 20100601 | 19600101 | - | event contact=2019 | 2049-12-31 | rcr-imaging | seen some day of 2019
rcr-08 | examination | 20100601 | 19600101 | - | event death=2034 | 2044-12-31 | rcr-imaging | died some day of 2034
`

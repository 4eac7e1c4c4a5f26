/** United States, Austria, Switzerland, Belgium, Netherlands, Italy. A missing 29 February is 1 March everywhere here. */
export const US = `
id | class | study | born | received | more | until | rule | why
us-01 | mammography-screening examination | 20100601 | 19550101 | - | - | 2020-06-01 | us-mammography | no further mammogram here: 10 years
us-02 | mammography-screening examination | 20100601 | 19550101 | - | last mammography-screening=20120601 | 2015-06-01 | us-mammography | a further one in 2012: 5 years
us-03 | mammography-screening examination | 20100601 | 19550101 | - | last mammography-screening=20120601; previous=2020-06-01 | 2020-06-01 | previous | the further one came after the decision, which is not shortened
us-04 | mammography-screening examination | 20100601 | 19550101 | - | last mammography-screening=2010 | 2020-06-01 | us-mammography | perhaps an earlier one: not certain, so 10 years
us-05 | examination | 20100601 | 19600101 | - | - | 2015-06-01 | us-radiology | 5 years
us-06 | treatment | 20100601 | 19600101 | - | - | 2015-06-01 | us-radiology | no federal rule of its own for treatments
us-07 | examination | 20100601 | 19600101 | - | last examination=20150101 | 2015-06-01 | us-radiology | counts from the study, not from the last
us-08 | examination | 20120229 | 19600101 | - | - | 2017-03-01 | us-radiology | 2017 has no 29 February
us-09 | mammography-screening | 20120229 | 19550101 | - | - | 2022-03-01 | us-mammography | nor has 2022
us-10 | - | 20100601 | 19600101 | - | - | 2020-06-01 | us-mammography | class unknown: the longest, as if a mammogram
us-11 | mammography-screening | 20100601 | 19550101 | - | last mammography-screening=20100601 | 2020-06-01 | us-mammography | two on one day: neither is a further one
us-12 | examination | - | 19600101 | 2012-07-01 | - | 2017-07-01 | us-radiology | date unknown: at the latest the day it came
us-13 | examination | 20100601 | 20080101 | - | - | 2015-06-01 | us-radiology | no federal rule for minors (state law is longer and not in here)
us-14 | examination | 20100601 | 19600101 | 2010-06-02 | house=30 | 2040-06-02 | house-minimum | the house's 30 years are far longer
`
export const AT = `
id | class | study | born | received | more | until | rule | why
at-01 | examination | 20100601 | 19600101 | - | - | 2040-06-01 | at-record | 30 years
at-02 | examination | 20100601 | 19600101 | - | last any=20150601 | 2045-06-01 | at-record | from the last contact
at-03 | treatment | 20120229 | 19600101 | - | - | 2042-03-01 | at-record | 2042 has no 29 February
at-04 | examination | 20100601 | 20090101 | - | - | 2040-06-01 | at-record | no rule for minors
at-05 | examination | 20100601 | 19600101 | - | event discharge=20100615 | 2040-06-15 | at-record | discharged two weeks later
at-06 | examination | - | 19600101 | 2011-11-11 | - | 2041-11-11 | at-record | date unknown: at the latest the day it came
`
export const CH = `
id | class | study | born | received | more | until | rule | why
ch-01 | examination | 20100601 | 19600101 | - | - | 2030-06-01 | ch-record | 20 years
ch-02 | examination | 20100601 | 19600101 | - | event entry=20130909 | 2033-09-09 | ch-record | from the last entry
ch-03 | record | 20100601 | 19600101 | - | last any=20111111 | 2031-11-11 | ch-record | a later study is an entry
ch-04 | examination | 201006 | 19600101 | 2010-07-15 | - | 2030-06-30 | ch-record | some day of June
ch-05 | examination | 20120229 | 19600101 | - | - | 2032-02-29 | ch-record | 2032 is a leap year
ch-06 | examination | 20100601 | 19600101 | - | event entry=20091231 | 2030-06-01 | ch-record | an entry before the study changes nothing
`
export const BE = `
id | class | study | born | received | more | until | rule | why
be-01 | examination | 20100601 | 19600101 | - | - | 2040-06-01 | be-record | at least 30 years
be-02 | examination | 20100601 | 19600101 | - | event contact=20200101 | 2050-01-01 | be-record | from the last contact
be-03 | treatment | 20120229 | 19600101 | - | - | 2042-03-01 | be-record | 2042 has no 29 February
be-04 | examination | 20100601 | 20090101 | - | last any=20270101 | 2057-01-01 | be-record | no rule for minors; last contact in 2027
be-05 | - | 2010 | - | 2010-12-01 | - | 2040-12-31 | be-record | class and birth don't matter; some day of 2010
`
export const NL = `
id | class | study | born | received | more | until | rule | why
nl-01 | examination | 20100601 | 19600101 | - | - | 2030-06-01 | nl-record | 20 years
nl-02 | examination | 20100601 | 19600101 | - | event entry=20150101 | 2035-01-01 | nl-record | from the last change of the file
nl-03 | examination | 20120229 | 19600101 | - | - | 2032-02-29 | nl-record | 2032 is a leap year
nl-04 | examination | 20100601 | 19600101 | - | event entry=?@2016-06-06 | 2036-06-06 | nl-record | day unknown: at the latest when it was recorded
nl-05 | examination | 20800229 | 20200101 | - | - | 2100-03-01 | nl-record | 2100 is no leap year
`
export const IT = `
id | class | study | born | received | more | until | rule | why
it-01 | examination | 20100601 | 19600101 | - | - | 2020-06-01 | it-images | images 10 years
it-02 | record | 20100601 | 19600101 | - | - | forever | it-reports | reports without limit
it-03 | examination record | 20100601 | 19600101 | - | - | forever | it-reports | images with their report in one study
it-04 | - | 20100601 | 19600101 | - | - | forever | it-reports | class unknown: perhaps a report
it-05 | examination | 20100601 | 19600101 | - | last any=20140202 | 2024-02-02 | it-images | from the last service to the patient
it-06 | examination | 20120229 | 19600101 | - | - | 2022-03-01 | it-images | 2022 has no 29 February
it-07 | examination | 20100601 | 19600101 | - | house=30 | 2040-06-01 | house-minimum | the house's 30 years
`

/**
 * When a study may become a candidate, worked out by hand. Every study here is the German examination of an adult unless
 * `preset` says otherwise, with a house minimum of 0. Columns, as in `table.ts`, and
 *
 * - at: what the compliance clocks of north and south show (UTC), `away` for a site that does not answer, `!` after one
 *   whose system clock is behind; one value stands for both;
 * - holds: `on study|patient|other`, each followed by `+` for every person who agreed to its release;
 * - blocks: everything that forbids destruction, `-` nothing.
 */
export const STANDING = `
id | preset | study | more | at | holds | blocks | why
st-01 | de | 20100315 | - | 2020-03-15T22:59:59Z | - | in_retention | 15 March 2020 is not over in Berlin (UTC+1)
st-02 | de | 20100315 | - | 2020-03-15T23:00:00Z | - | - | now it is
st-03 | de | 20100715 | - | 2020-07-15T21:59:59Z | - | in_retention | 15 July is not over in Berlin (UTC+2)
st-04 | de | 20100715 | - | 2020-07-15T22:00:00Z | - | - | now it is
st-05 | de | 20100315 | - | 2035-01-01T00:00:00Z | on study | on_hold | held before or after expiry makes no difference: held
st-06 | de | 20100315 | - | 2019-01-01T00:00:00Z | on study | on_hold in_retention | held while its time is running: both forbid
st-07 | de | 20100315 | - | 2019-01-01T00:00:00Z | on study++ | in_retention | released before expiry: its time goes on as if never held
st-08 | de | 20100315 | - | 2020-03-15T23:00:00Z | on study++ | - | a hold that has ended does not move the date
st-09 | de | 20100315 | - | 2035-01-01T00:00:00Z | on study+ | on_hold | one person is not enough to release
st-10 | de | 20100315 | - | 2035-01-01T00:00:00Z | on study++; on study | on_hold | one of two holds is left
st-11 | de | 20100315 | - | 2035-01-01T00:00:00Z | on study++; on study++ | - | both are released
st-12 | de | 20100315 | - | 2035-01-01T00:00:00Z | on patient | on_hold | the patient is held, and so the study
st-13 | de | 20100315 | - | 2035-01-01T00:00:00Z | on other | - | another study's hold
st-14 | de | 20100315 | - | 2035-01-01T00:00:00Z 2020-03-15T12:00:00Z | - | in_retention | south's clock is years late, and both must be past
st-15 | de | 20100315 | - | 2020-03-15T12:00:00Z 2035-01-01T00:00:00Z | - | in_retention | north's is
st-16 | de | 20100315 | - | 2035-01-01T00:00:00Z away | - | peer_away | nobody knows what south's clock shows
st-17 | de | 20100315 | - | 2035-01-01T00:00:00Z 2035-01-01T00:00:00Z! | - | clock_back | south's system clock was set back
st-18 | de | 20100315 | - | away | - | peer_away in_retention | no clock at all: nothing is ever past
st-19 | de | 20100315 | previous=2040-03-15 | 2035-01-01T00:00:00Z | - | in_retention | the policy was 30 years when it was decided and is 10 now
st-20 | de | 20100315 | previous=2040-03-15 | 2040-03-15T23:00:00Z | - | - | after what was promised
st-21 | de | 20100315 | last examination=20300101 | 2035-01-01T00:00:00Z | - | in_retention | examined again in 2030: until 2040
st-22 | fr | 20100310 | event claim#c1=20200101 | 2099-01-01T00:00:00Z | - | suspended | an open claim stops the period for as long as it takes
st-23 | fr | 20100310 | event claim#c1=20200101; event ended(c1)=20201231 | 2031-03-10T12:00:00Z | - | in_retention | 366 days more: until 11 March 2031
st-24 | fr | 20100310 | event claim#c1=20200101; event ended(c1)=20201231 | 2031-03-11T23:00:00Z | - | - | and over when that day is
st-25 | it | 20100310 | previous=forever | 9000-01-01T00:00:00Z | - | in_retention | for ever
`

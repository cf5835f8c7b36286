//! When a rotation is due.

use time::{Duration, OffsetDateTime};

use super::rotation_rules::RotateAt;

/// The last day that JavaScript's dates reach, counted from 1970.
const LAST_DAY: i64 = 100_000_000;
/// After so many days, the calendar repeats, 400 years later.
const CALENDAR: i64 = 146_097;

/// The time of a rotation: a day, counted from 1970, and a time of that day. It can be far beyond the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueTime {
    day: i64,
    hours: u8,
    minutes: u8,
}

impl DueTime {
    /// `None` beyond the dates of JavaScript.
    fn new(day: i64, rotate_at: &RotateAt) -> Option<Self> {
        let (hours, minutes) = (as_f64(&rotate_at.hours) as u8, as_f64(&rotate_at.minutes) as u8);
        let is_within = day < LAST_DAY || day == LAST_DAY && (hours, minutes) == (0, 0);
        is_within.then_some(Self { day, hours, minutes })
    }

    /// The time as the server shows it: JavaScript writes years beyond 9999 with a sign and six digits.
    pub fn to_text(self) -> String {
        let date = (OffsetDateTime::UNIX_EPOCH + Duration::days(self.day.rem_euclid(CALENDAR))).date();
        let year = i64::from(date.year()) + 400 * self.day.div_euclid(CALENDAR);
        let year = if year > 9999 { format!("+{year:06}") } else { format!("{year:04}") };
        let (month, day) = (u8::from(date.month()), date.day());
        format!("{year}-{month:02}-{day:02}T{:02}:{:02}:00.000Z", self.hours, self.minutes)
    }

    pub fn is_over(self, now: OffsetDateTime) -> bool {
        let seconds = self.day * 86_400 + i64::from(self.hours) * 3600 + i64::from(self.minutes) * 60;
        seconds <= now.unix_timestamp()
    }
}

/// The rotation after one at `last`. A manual one later in the day gains a day, so that a whole interval passes.
pub(super) fn next(
    last: OffsetDateTime,
    rotate_at: &RotateAt,
    interval: i32,
    manual: bool,
) -> Option<DueTime> {
    let (hours, minutes) = (as_f64(&rotate_at.hours), as_f64(&rotate_at.minutes));
    let (hour, minute) = (f64::from(last.hour()), f64::from(last.minute()));
    let later_in_the_day = hour > hours || hour == hours && minute >= minutes;
    let days = i64::from(interval) + i64::from(manual && later_in_the_day);
    DueTime::new(day_of(last) + days, rotate_at)
}

/// Tomorrow's time of rotation.
pub(super) fn next_day(now: OffsetDateTime, rotate_at: &RotateAt) -> Option<DueTime> {
    DueTime::new(day_of(now) + 1, rotate_at)
}

fn day_of(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().div_euclid(86_400)
}

fn as_f64(number: &serde_json::Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

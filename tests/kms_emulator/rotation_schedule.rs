//! When a rotation is due.

use time::{Date, Duration, OffsetDateTime, Time};

use super::rotation_rules::RotateAt;

/// The rotation after one at `last`. A manual one later in the day gains a day, so that a whole interval passes.
pub(super) fn next(
    last: OffsetDateTime,
    rotate_at: &RotateAt,
    interval: i32,
    manual: bool,
) -> Option<OffsetDateTime> {
    let (hours, minutes) = (as_f64(&rotate_at.hours), as_f64(&rotate_at.minutes));
    let (hour, minute) = (f64::from(last.hour()), f64::from(last.minute()));
    let later_in_the_day = hour > hours || hour == hours && minute >= minutes;
    let days = i64::from(interval) + i64::from(manual && later_in_the_day);
    at(last.date().checked_add(Duration::days(days))?, rotate_at)
}

/// Tomorrow's time of rotation.
pub(super) fn next_day(now: OffsetDateTime, rotate_at: &RotateAt) -> Option<OffsetDateTime> {
    at(now.date().next_day()?, rotate_at)
}

fn at(date: Date, rotate_at: &RotateAt) -> Option<OffsetDateTime> {
    let time = Time::from_hms(as_f64(&rotate_at.hours) as u8, as_f64(&rotate_at.minutes) as u8, 0).ok()?;
    Some(date.with_time(time).assume_utc())
}

fn as_f64(number: &serde_json::Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

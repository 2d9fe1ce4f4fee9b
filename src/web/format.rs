//! Times, ages and sizes, as people read them.

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::page::{Age, Lang};

/// "방금", "12초 전", "3분 전", "2시간 전", "4일 전".
pub fn ago(lang: Lang, then: NaiveDateTime, now: NaiveDateTime) -> String {
    let seconds = (now - then).num_seconds().max(0);
    let (key, number) = match seconds {
        0..5 => ("ago.now", seconds),
        5..60 => ("ago.seconds", seconds),
        60..3600 => ("ago.minutes", seconds / 60),
        3600..86_400 => ("ago.hours", seconds / 3600),
        _ => ("ago.days", seconds / 86_400),
    };
    lang.t1(key, "n", number).into_owned()
}

/// How old what is shown is; `interval` is how often it is checked. Three checks missed make it stale.
pub fn age(lang: Lang, at: Option<NaiveDateTime>, now: NaiveDateTime, interval: TimeDelta) -> Age {
    let Some(at) = at else { return Age::never(lang) };
    let stale_after = u32::try_from((interval * 3).num_seconds()).unwrap_or(u32::MAX);
    Age::of(lang, at.and_utc(), now.and_utc(), stale_after)
}

/// RFC 3339 in UTC, for `<time datetime>`.
pub fn rfc3339(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// "2026-11-22 13:20" in the lab's time zone.
pub fn full(at: NaiveDateTime, zone: Tz) -> String {
    at.and_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}

/// "13:20" on the same day, else with the date: "11-22 13:20".
pub fn clock(at: NaiveDateTime, now: NaiveDateTime, zone: Tz) -> String {
    let (at, now) = (at.and_utc().with_timezone(&zone), now.and_utc().with_timezone(&zone));
    let pattern = if at.date_naive() == now.date_naive() { "%H:%M" } else { "%m-%d %H:%M" };
    at.format(pattern).to_string()
}

/// "512 MB", "3 GB", "1.5 GB".
pub fn megabytes(mb: u32) -> String {
    match mb {
        0..1024 => format!("{mb} MB"),
        _ if mb.is_multiple_of(1024) => format!("{} GB", mb / 1024),
        _ => format!("{:.1} GB", f64::from(mb) / 1024.0),
    }
}

/// "412 B", "4.1 KB", "812 MB", "2.1 GB": powers of 1,024, as the quota counts.
pub fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = if unit == 0 || value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") };
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

/// "1,204"
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "방금", "3분 전" within an hour; "오늘 13:02", "어제 02:00", "11월 20일 02:00", and with the year if it is another.
pub fn when(lang: Lang, at: NaiveDateTime, now: NaiveDateTime, zone: Tz) -> String {
    if (now - at).num_seconds() < 3600 {
        return ago(lang, at, now);
    }
    let (local, today) = (at.and_utc().with_timezone(&zone), now.and_utc().with_timezone(&zone));
    let time = local.format("%H:%M").to_string();
    match (today.date_naive() - local.date_naive()).num_days() {
        0 => lang.t1("ago.today", "time", time).into_owned(),
        1 => lang.t1("ago.yesterday", "time", time).into_owned(),
        _ if today.format("%Y").to_string() == local.format("%Y").to_string() => {
            let (month, day) = (local.format("%-m").to_string(), local.format("%-d").to_string());
            lang.tv("ago.date", &[("month", &month), ("day", &day), ("time", &time)]).into_owned()
        }
        _ => full(at, zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap().naive_utc()
    }

    #[test]
    fn ages() {
        let age = |seconds| age(Lang::Ko, Some(at(0)), at(seconds), TimeDelta::seconds(60));
        assert_eq!((age(12).text.as_str(), age(12).live, age(12).stale), ("12초 전 기준", true, false));
        assert_eq!((age(179).text.as_str(), age(179).live, age(179).stale), ("2분 전 기준", false, false));
        assert!(age(180).stale, "three checks were missed");
        assert!(super::age(Lang::Ko, None, at(0), TimeDelta::seconds(60)).stale);
    }

    #[test]
    fn sizes() {
        assert_eq!([512, 1024, 3072, 1536].map(megabytes), ["512 MB", "1 GB", "3 GB", "1.5 GB"]);
    }

    #[test]
    fn sizes_of_files() {
        let sizes = [0, 412, 1024, 4200, 851_443_712, 2_254_857_830, 5 << 40].map(bytes);
        assert_eq!(sizes, ["0 B", "412 B", "1 KB", "4.1 KB", "812 MB", "2.1 GB", "5 TB"]);
        assert_eq!([0, 999, 1204, 1_234_567].map(number), ["0", "999", "1,204", "1,234,567"]);
    }

    #[test]
    fn times_are_shown_in_the_labs_zone() {
        let seoul: Tz = "Asia/Seoul".parse().unwrap();
        assert_eq!(full(at(0), seoul), "2027-01-15 17:00");
        assert_eq!(clock(at(0), at(60), seoul), "17:00");
        assert_eq!(clock(at(0), at(86_400), seoul), "01-15 17:00");
    }
}

//! Parses the `Ratelimit` and `Ratelimit-Policy` headers into the pace that they ask for. [`super::limiter`] acts on
//! it.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::units::Quota;

/// The longest time that a header can make us wait. No API has a longer window, and longer times could overflow.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// One item of the `Ratelimit` header with the policy of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimitStatus {
    /// `r`: requests left in the window.
    pub(super) remaining: u64,
    /// `t`: time until the window resets.
    pub(super) reset: Duration,
    /// Quota and window: `q` and `w` of `Ratelimit-Policy`.
    pub(super) policy: Option<(u64, Duration)>,
}

/// How much a response asks us to slow down. Zero durations ask for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backpressure {
    /// Send nothing for this long: what is left of the quota is for others.
    pub(super) hold: Duration,
    /// The least time between two requests.
    pub(super) spacing: Duration,
    /// How long `spacing` applies.
    pub(super) spaced_for: Duration,
}

/// Parses both headers. Malformed items are ignored: without them, our own pace still holds.
pub(super) fn statuses(headers: &HeaderMap) -> Vec<RateLimitStatus> {
    let policies: Vec<Item<'_>> = items(headers, "ratelimit-policy");
    items(headers, "ratelimit")
        .iter()
        .filter_map(|item| {
            let policy = policies.iter().find(|p| p.name == item.name);
            Some(RateLimitStatus {
                remaining: item.param("r")?,
                reset: seconds(item.param("t")?),
                policy: policy.and_then(|p| Some((p.param("q")?, seconds(p.param("w")?)))),
            })
        })
        .collect()
}

/// The strictest demand of all items. `ours` replaces a missing policy.
pub(super) fn backpressure(statuses: &[RateLimitStatus], ours: Quota, share_percent: u8) -> Backpressure {
    let mut strictest = Backpressure::default();
    for status in statuses {
        let (quota, window) = status.policy.unwrap_or((u64::from(ours.requests), ours.window));
        let others_percent = 100_u128.saturating_sub(u128::from(share_percent));
        let reserve = u64::try_from(u128::from(quota) * others_percent / 100).unwrap_or(u64::MAX);
        // A reset later than a whole window is wrong, and must not stop us for longer than the window.
        let reset = status.reset.min(window);
        match status.remaining.saturating_sub(reserve) {
            0 => strictest.hold = strictest.hold.max(reset),
            left => {
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                let spacing = reset / left;
                if spacing > strictest.spacing {
                    (strictest.spacing, strictest.spaced_for) = (spacing, reset);
                }
            }
        }
    }
    strictest
}

/// One member of a structured-field list, as in `"default";r=50;t=30`.
struct Item<'a> {
    name: &'a str,
    params: Vec<(&'a str, u64)>,
}

impl Item<'_> {
    fn param(&self, key: &str) -> Option<u64> {
        // The last of several wins, as RFC 9651 says.
        let found = self.params.iter().rfind(|(name, _)| *name == key);
        found.map(|(_, value)| *value)
    }
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Item<'a>> {
    let lines = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| split_outside_quotes(line, b','))
        .map(item)
        .collect()
}

fn item(text: &str) -> Item<'_> {
    let mut parts = split_outside_quotes(text, b';').into_iter().map(str::trim);
    let name = parts.next().unwrap_or_default();
    let unquoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let params = parts.filter_map(|part| part.split_once('='));
    Item {
        name: unquoted.unwrap_or(name),
        params: params
            .filter_map(|(key, value)| Some((key.trim(), whole(value.trim())?)))
            .collect(),
    }
}

fn split_outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A number without a sign.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_WINDOW)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    const OURS: Quota = Quota {
        requests: 1200,
        window: Duration::from_secs(300),
    };

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(*name, value);
            }
        }
        map
    }

    /// Remaining, reset, quota and window.
    type Numbers = (u64, u64, Option<(u64, u64)>);

    fn read(limit: &str, policy: &str) -> Vec<Numbers> {
        statuses(&headers(&[
            ("ratelimit", limit.as_bytes()),
            ("ratelimit-policy", policy.as_bytes()),
        ]))
        .iter()
        .map(|s| (s.remaining, s.reset.as_secs(), s.policy.map(|(q, w)| (q, w.as_secs()))))
        .collect()
    }

    #[test]
    fn headers_are_read_as_lists_of_items_with_parameters() {
        let both = vec![(50, 30, Some((1200, 300)))];
        assert_eq!(read(r#""default";r=50;t=30"#, r#""default";q=1200;w=300"#), both);
        assert_eq!(
            read(r#" default ; t=30 ; r=50 "#, r#""default";w=300;q=1200;pk=:a,b:"#),
            both
        );
        assert_eq!(read(r#""default";r=50;t=30"#, ""), [(50, 30, None)]);
        assert_eq!(read(r#""default";r=50;t=30"#, r#""other";q=1;w=1"#), [(50, 30, None)]);
        assert_eq!(
            read(r#""a,;\"";r=1;t=2, "b";r=3;t=4"#, r#""b";q=5;w=6, "a,;\"";q=7;w=8"#),
            [(1, 2, Some((7, 8))), (3, 4, Some((5, 6)))]
        );
        for garbage in [
            "",
            "default",
            "r=1;t=2",
            "\"a\";r=1",
            "\"a\";r=-1;t=1",
            "\"a\";r=1.5;t=1",
            "\"a\";r=x;t=1",
            "\"a;r=1;t=1",
        ] {
            assert_eq!(read(garbage, garbage), [], "{garbage}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let map = headers(&[
            ("ratelimit", b"\"a\";r=1;t=2"),
            ("ratelimit", b"\xff"),
            ("ratelimit", b"\"b\";r=3;t=4"),
        ]);
        assert_eq!(statuses(&map).len(), 2);
    }

    #[test]
    fn the_reserve_is_left_to_others() {
        let seconds = Duration::from_secs;
        let at = |remaining, t, policy| {
            backpressure(
                &[RateLimitStatus {
                    remaining,
                    reset: seconds(t),
                    policy,
                }],
                OURS,
                80,
            )
        };
        assert_eq!(at(240, 30, None).hold, seconds(30));
        assert_eq!(
            at(241, 30, None),
            Backpressure {
                hold: Duration::ZERO,
                spacing: seconds(30),
                spaced_for: seconds(30)
            }
        );
        assert_eq!(at(300, 30, None).spacing, Duration::from_millis(500));
        assert_eq!(at(0, 1_000_000, None).hold, seconds(300), "no longer than the window");
        assert_eq!(at(10, 40, Some((50, seconds(20)))).hold, seconds(20));
        assert_eq!(at(11, 20, Some((50, seconds(20)))).spacing, seconds(20));
        assert_eq!(backpressure(&[], OURS, 80), Backpressure::default());
    }

    #[test]
    fn the_strictest_item_counts() {
        let of = |remaining| RateLimitStatus {
            remaining,
            reset: Duration::from_secs(10),
            policy: Some((100, OURS.window)),
        };
        let all = backpressure(&[of(100), of(0), of(30)], OURS, 80);
        assert_eq!(all.hold, Duration::from_secs(10));
        assert_eq!(all.spacing, Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(limit in any::<Vec<u8>>(), policy in any::<Vec<u8>>(), share in any::<u8>()) {
            let read = statuses(&headers(&[("ratelimit", &limit), ("ratelimit-policy", &policy)]));
            backpressure(&read, OURS, share);
        }

        #[test]
        fn no_numbers_make_it_panic(r in any::<u64>(), t in any::<u64>(), q in any::<u64>(), w in any::<u64>(), share in any::<u8>()) {
            let limit = format!("a;r={r};t={t}");
            let policy = format!("a;q={q};w={w}");
            let read = statuses(&headers(&[("ratelimit", limit.as_bytes()), ("ratelimit-policy", policy.as_bytes())]));
            prop_assert_eq!(read.len(), 1);
            prop_assert!(backpressure(&read, OURS, share).hold <= LONGEST_WINDOW);
        }
    }
}

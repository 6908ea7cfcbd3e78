//! Two ordered streams walked side by side.

use std::cmp::Ordering;

/// What is next in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined<T> {
    Left(T),
    Right(T),
    Both(T, T),
}

/// Each element of both sides once, those that are equal by `order` together. Both sides must be strictly ascending by
/// it. An error of a side is handed on as it is met.
pub fn join<T, E>(
    left: impl Iterator<Item = Result<T, E>>,
    right: impl Iterator<Item = Result<T, E>>,
    mut order: impl FnMut(&T, &T) -> Ordering,
) -> impl Iterator<Item = Result<Joined<T>, E>> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let next = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
            (_, Some(Err(_))) | (None, Some(_)) => Ordering::Greater,
            (Some(Ok(left)), Some(Ok(right))) => order(left, right),
        };
        Some(match next {
            Ordering::Less => left.next()?.map(Joined::Left),
            Ordering::Greater => right.next()?.map(Joined::Right),
            Ordering::Equal => match (left.next()?, right.next()?) {
                (Ok(left), Ok(right)) => Ok(Joined::Both(left, right)),
                (Err(error), _) | (_, Err(error)) => Err(error),
            },
        })
    })
}

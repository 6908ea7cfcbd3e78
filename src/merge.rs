//! A full outer join of two ordered streams.

use std::cmp::Ordering;

/// An element of one side, or equal elements of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined<T> {
    Left(T),
    Right(T),
    Both(T, T),
}

/// Returns the elements of both sides in order, those that are equal by `order` together. Both sides must be strictly
/// ascending by `order`. A side's error is returned as soon as it is next.
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

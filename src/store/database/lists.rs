//! Lists of rows in one statement: a page costs a few statements, not one for each of its rows.

use std::iter;

use super::values::Value;

/// How many rows a statement has. The databases keep every statement prepared, so there are few lengths.
const LENGTHS: [usize; 4] = [64, 16, 4, 1];

/// Cuts rows into as few pieces as those lengths allow: for `n` rows at most `n / 64 + 9`.
pub(in crate::store) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    iter::from_fn(move || {
        let length = LENGTHS.into_iter().find(|length| *length <= rows.len())?;
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        Some(piece)
    })
}

/// Adds the values of rows, and returns what stands after `VALUES`. Each row ends with `constants`, such as `?1, ?2`.
pub(in crate::store) fn list<'v, const N: usize>(
    values: &mut Vec<Value<'v>>,
    rows: impl IntoIterator<Item = [Value<'v>; N]>,
    constants: &str,
) -> String {
    let rows = rows.into_iter().map(|row| {
        let first = values.len() + 1;
        values.extend(row);
        let places: Vec<String> = (first..first + N).map(|number| format!("?{number}")).collect();
        format!("({}, {constants})", places.join(", "))
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// Adds at least one value, and returns its places in the statement. The last value fills the places to the next power of
/// two, for the same reason.
pub(in crate::store) fn places<'v>(
    values: &mut Vec<Value<'v>>,
    added: impl ExactSizeIterator<Item = Value<'v>> + Clone,
) -> String {
    let (first, places) = (values.len() + 1, added.len().next_power_of_two());
    let filling = added.clone().last().into_iter().cycle();
    values.extend(added.chain(filling).take(places));
    (first..first + places).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn rows_are_cut_into_pieces_of_few_lengths() {
        let rows: Vec<usize> = (0..151).collect();
        let lengths: Vec<usize> = pieces(&rows).map(<[usize]>::len).collect();
        assert_eq!(lengths, [64, 64, 16, 4, 1, 1, 1]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(pieces(&rows[..0]).count(), 0);
    }
}

//! Drawings of what leads to what, as boxes in rows. Pure geometry: the same graph is always drawn the same.
//!
//! A box stands in the row below the lowest one that leads to it. An arrow over several rows goes through a place of its own in
//! each of them, so that it passes beside the boxes there. Rows are ordered so that arrows cross seldom, then moved as near to
//! what they are connected with as their order lets them.

use serde::Serialize;

/// A box, in the units of the drawing, which are pixels where it is not scaled.
pub(super) const BOX_WIDTH: f64 = 232.0;
/// See [`BOX_WIDTH`].
pub(super) const BOX_HEIGHT: f64 = 48.0;
/// Between two boxes of a row.
const GAP_X: f64 = 20.0;
/// Between two rows.
const GAP_Y: f64 = 34.0;
/// What an arrow takes of a row that it passes.
const LANE_WIDTH: f64 = 10.0;
/// Around everything.
const MARGIN: f64 = 8.0;
/// Times that the rows are gone through, down and up again, to order and to move them: more change little.
const SWEEPS: usize = 8;

/// A point.
pub(super) type Point = (f64, f64);

/// Where everything is drawn.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Layout {
    /// Width of it all.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// The upper left corner of each box.
    pub boxes: Vec<Point>,
    /// Each arrow as the path of an SVG.
    pub paths: Vec<String>,
}

/// Something that takes a place in a row: a box, or an arrow that passes.
struct Place {
    row: usize,
    width: f64,
    /// Its middle.
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Draws `count` boxes and the arrows between them. Each arrow leads from a box to one with a higher number.
pub(super) fn layered(count: usize, arrows: &[(usize, usize)]) -> Layout {
    if count == 0 {
        return Layout::default();
    }
    let mut places = boxes(count, arrows);
    let routes: Vec<Vec<usize>> = arrows.iter().map(|arrow| route(&mut places, *arrow)).collect();
    let mut rows = ordered(&places);
    for sweep in 0..SWEEPS {
        order(&places, &mut rows, sweep % 2 == 0);
    }
    for row in &rows {
        pack(&mut places, row);
    }
    for sweep in 0..SWEEPS {
        move_rows(&mut places, &rows, sweep % 2 == 0);
    }
    let left = places.iter().map(|place| place.x - place.width / 2.0).fold(f64::INFINITY, f64::min);
    for place in &mut places {
        place.x += MARGIN - left;
    }
    let width = places.iter().map(|place| place.x + place.width / 2.0).fold(0.0, f64::max) + MARGIN;
    let top = |row: usize| MARGIN + row as f64 * (BOX_HEIGHT + GAP_Y);
    Layout {
        width,
        height: top(rows.len()) - GAP_Y + MARGIN,
        boxes: places[..count].iter().map(|place| (place.x - BOX_WIDTH / 2.0, top(place.row))).collect(),
        paths: routes.iter().map(|route| path(&places, route, top)).collect(),
    }
}

fn boxes(count: usize, arrows: &[(usize, usize)]) -> Vec<Place> {
    let mut rows = vec![0; count];
    let mut sorted = arrows.to_vec();
    sorted.sort_by_key(|(_, to)| *to);
    for (from, to) in sorted {
        debug_assert!(from < to, "arrows lead forward");
        rows[to] = rows[to].max(rows[from] + 1);
    }
    let place = |row| Place { row, width: BOX_WIDTH, x: 0.0, above: Vec::new(), below: Vec::new() };
    rows.into_iter().map(place).collect()
}

/// Connects two boxes, through a place in each row between them.
fn route(places: &mut Vec<Place>, (from, to): (usize, usize)) -> Vec<usize> {
    let mut route = vec![from];
    for row in places[from].row + 1..places[to].row {
        route.push(places.len());
        places.push(Place { row, width: LANE_WIDTH, x: 0.0, above: Vec::new(), below: Vec::new() });
    }
    route.push(to);
    for pair in route.windows(2) {
        places[pair[0]].below.push(pair[1]);
        places[pair[1]].above.push(pair[0]);
    }
    route
}

/// The rows with their places as they were made.
fn ordered(places: &[Place]) -> Vec<Vec<usize>> {
    let count = places.iter().map(|place| place.row + 1).max().unwrap_or(0);
    let mut rows = vec![Vec::new(); count];
    for (at, place) in places.iter().enumerate() {
        rows[place.row].push(at);
    }
    rows
}

/// Orders each row by the mean place of what it is connected with in the row before (`down`), or after it.
fn order(places: &[Place], rows: &mut [Vec<usize>], down: bool) {
    let mut at = vec![0.0; places.len()];
    let note = |row: &[usize], at: &mut Vec<f64>| {
        for (place, number) in row.iter().zip(0_u32..) {
            at[*place] = f64::from(number);
        }
    };
    rows.iter().for_each(|row| note(row, &mut at));
    let count = rows.len();
    for n in 1..count {
        let number = if down { n } else { count - 1 - n };
        let mean = |place: &usize| {
            let place_of = &places[*place];
            let others = if down { &place_of.above } else { &place_of.below };
            if others.is_empty() {
                return at[*place];
            }
            others.iter().map(|other| at[*other]).sum::<f64>() / others.len() as f64
        };
        let mut keyed: Vec<(f64, usize)> = rows[number].iter().map(|place| (mean(place), *place)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows[number] = keyed.into_iter().map(|(_, place)| place).collect();
        note(&rows[number], &mut at);
    }
}

/// Puts a row's places one beside the other, their middle at 0.
fn pack(places: &mut [Place], row: &[usize]) {
    let offsets = offsets(places, row);
    let middle = offsets.last().map_or(0.0, |last| last / 2.0);
    for (place, offset) in row.iter().zip(offsets) {
        places[*place].x = offset - middle;
    }
}

/// How far from the first place's middle that of each is at least.
fn offsets(places: &[Place], row: &[usize]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(row.len());
    let mut reached = 0.0;
    for (n, place) in row.iter().enumerate() {
        if n > 0 {
            reached += f64::midpoint(places[row[n - 1]].width, places[*place].width) + GAP_X;
        }
        offsets.push(reached);
    }
    offsets
}

/// Moves each row as near to what it is connected with as its order lets it.
fn move_rows(places: &mut [Place], rows: &[Vec<usize>], down: bool) {
    for n in 0..rows.len() {
        let row = &rows[if down { n } else { rows.len() - 1 - n }];
        let offsets = offsets(places, row);
        let wanted = row.iter().zip(&offsets).map(|(place, offset)| {
            let own = &places[*place];
            let others = if down { &own.above } else { &own.below };
            let mean = others.iter().map(|other| places[*other].x).sum::<f64>() / others.len() as f64;
            (if others.is_empty() { own.x } else { mean }) - offset
        });
        let rising = rising(wanted);
        for ((place, offset), x) in row.iter().zip(offsets).zip(rising) {
            places[*place].x = x + offset;
        }
    }
}

/// The numbers nearest to these that nowhere fall (least squares; pool adjacent violators).
fn rising(wanted: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in wanted {
        let mut pool = (value, 1);
        while let Some(&(sum, count)) = pools.last()
            && sum / count as f64 > pool.0 / pool.1 as f64
        {
            pools.pop();
            pool = (sum + pool.0, count + pool.1);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count)).collect()
}

/// An arrow: from the lower edge of the first box through its places to the upper edge of the last.
fn path(places: &[Place], route: &[usize], top: impl Fn(usize) -> f64) -> String {
    let mut path = String::new();
    for (n, pair) in route.windows(2).enumerate() {
        let (from, to) = (&places[pair[0]], &places[pair[1]]);
        let (y, end) = (top(from.row) + BOX_HEIGHT, top(to.row));
        if n == 0 {
            path = format!("M{:.1} {y:.1}", from.x);
        } else {
            // Straight through the row that it passes.
            path.push_str(&format!("V{y:.1}"));
        }
        let half = f64::midpoint(y, end);
        path.push_str(&format!("C{:.1} {half:.1} {:.1} {half:.1} {:.1} {end:.1}", from.x, to.x, to.x));
    }
    path
}

/// Two columns of boxes and lines between them, the right one ordered so that lines cross seldom. Boxes of the left have the
/// numbers from 0 on, those of the right follow; each line leads from a left one to a right one.
pub(super) fn two_columns(left: usize, right: usize, lines: &[(usize, usize)]) -> Layout {
    if left + right == 0 {
        return Layout::default();
    }
    let pitch = BOX_HEIGHT + GAP_X / 2.0;
    let mean = |box_right: usize| {
        let own = lines.iter().filter(|(_, to)| *to == left + box_right).map(|(from, _)| *from as f64);
        let (sum, count) = own.fold((0.0, 0_u32), |(sum, count), at| (sum + at, count + 1));
        if count == 0 { f64::INFINITY } else { sum / f64::from(count) }
    };
    let mut order: Vec<(f64, usize)> = (0..right).map(|at| (mean(at), at)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut boxes = vec![(0.0, 0.0); left + right];
    let far = MARGIN + BOX_WIDTH * 1.6;
    for (at, corner) in boxes.iter_mut().enumerate().take(left) {
        *corner = (MARGIN, MARGIN + at as f64 * pitch);
    }
    for (row, (_, at)) in order.into_iter().enumerate() {
        boxes[left + at] = (far, MARGIN + row as f64 * pitch);
    }
    let line = |&(from, to): &(usize, usize)| {
        let (x, y) = (boxes[from].0 + BOX_WIDTH, boxes[from].1 + BOX_HEIGHT / 2.0);
        let (end, below) = (boxes[to].0, boxes[to].1 + BOX_HEIGHT / 2.0);
        let half = f64::midpoint(x, end);
        format!("M{x:.1} {y:.1}C{half:.1} {y:.1} {half:.1} {below:.1} {end:.1} {below:.1}")
    };
    let paths = lines.iter().map(line).collect();
    let height = MARGIN + left.max(right) as f64 * pitch;
    Layout { width: far + BOX_WIDTH + MARGIN, height, boxes, paths }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(layout: &Layout) -> Vec<i64> {
        let height = BOX_HEIGHT + GAP_Y;
        layout.boxes.iter().map(|(_, y)| ((y - MARGIN) / height).round() as i64).collect()
    }

    fn nothing_overlaps(layout: &Layout) {
        for (n, a) in layout.boxes.iter().enumerate() {
            assert!(a.0 >= 0.0 && a.0 + BOX_WIDTH <= layout.width && a.1 + BOX_HEIGHT <= layout.height);
            for b in &layout.boxes[..n] {
                let apart = (a.0 - b.0).abs() >= BOX_WIDTH || (a.1 - b.1).abs() >= BOX_HEIGHT;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn what_needs_nothing_of_each_other_stands_side_by_side() {
        // 0 -> 1, 0 -> 2, both -> 3; 4 by itself; 0 -> 3 over a row.
        let layout = layered(5, &[(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]);
        assert_eq!(rows(&layout), [0, 1, 1, 2, 0]);
        nothing_overlaps(&layout);
        let middle = |at: usize| layout.boxes[at].0 + BOX_WIDTH / 2.0;
        assert!(middle(1).min(middle(2)) < middle(3) && middle(3) < middle(1).max(middle(2)));
        assert_eq!(layout.paths.len(), 5);
        assert!(layout.paths[4].contains('V'), "it passes a row: {}", layout.paths[4]);
    }

    #[test]
    fn arrows_do_not_cross_where_they_need_not() {
        let layout = layered(6, &[(0, 5), (1, 4), (2, 3)]);
        let x = |at: usize| layout.boxes[at].0;
        assert!((x(0) < x(1)) == (x(5) < x(4)) && (x(1) < x(2)) == (x(4) < x(3)), "{layout:?}");
        nothing_overlaps(&layout);
    }

    #[test]
    fn a_chain_stands_in_one_line() {
        let arrows: Vec<_> = (1..100).map(|at| (at - 1, at)).collect();
        let layout = layered(100, &arrows);
        assert!((layout.width - BOX_WIDTH - 2.0 * MARGIN).abs() < 1e-6, "{}", layout.width);
        nothing_overlaps(&layout);
        assert_eq!(layered(0, &[]), Layout::default());
    }

    #[test]
    fn numbers_rise_as_near_as_they_can() {
        assert_eq!(rising([1.0, 3.0, 2.0, 5.0].into_iter()), [1.0, 2.5, 2.5, 5.0]);
        assert_eq!(rising([3.0, 2.0, 1.0].into_iter()), [2.0; 3]);
    }

    #[test]
    fn two_columns_stand_beside_each_other() {
        let layout = two_columns(2, 3, &[(0, 4), (1, 2), (1, 3)]);
        nothing_overlaps(&layout);
        let y = |at: usize| layout.boxes[at].1;
        assert!(y(4) < y(2) && y(4) < y(3), "what the first leads to is first");
    }
}

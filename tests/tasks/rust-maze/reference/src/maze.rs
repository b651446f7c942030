use std::collections::VecDeque;

const STEPS: [(char, isize, isize); 4] = [('U', -1, 0), ('D', 1, 0), ('L', 0, -1), ('R', 0, 1)];

type Cell = (usize, usize);

#[derive(Debug)]
pub struct Maze {
    rows: Vec<Vec<char>>,
    start: Cell,
    end: Cell,
}

impl Maze {
    pub fn parse(text: &str) -> Result<Maze, String> {
        let rows: Vec<Vec<char>> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(|line| line.chars().collect()).collect();
        if rows.iter().any(|row| row.len() != rows[0].len()) {
            return Err("ragged rows".to_string());
        }
        if let Some(c) = rows.iter().flatten().find(|c| !"#.SE".contains(**c)) {
            return Err(format!("bad character '{c}'"));
        }
        let find = |wanted: char| {
            let row = rows.iter().position(|row| row.contains(&wanted))?;
            let column = rows[row].iter().position(|c| *c == wanted)?;
            Some((row, column))
        };
        let start = find('S').ok_or("no start")?;
        let end = find('E').ok_or("no end")?;
        Ok(Maze { rows, start, end })
    }

    pub fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.rows[0].len())
    }

    /// The numbers of walls and of open cells.
    pub fn count(&self) -> (usize, usize) {
        let walls = self.rows.iter().flatten().filter(|c| **c == '#').count();
        (walls, self.rows.len() * self.rows[0].len() - walls)
    }

    fn step(&self, cell: Cell, down: isize, right: isize) -> Option<Cell> {
        let row = cell.0.checked_add_signed(down)?;
        let column = cell.1.checked_add_signed(right)?;
        (*self.rows.get(row)?.get(column)? != '#').then_some((row, column))
    }

    /// For every cell that can be reached from the start: the cell before it and the step between them.
    fn search(&self) -> Vec<Vec<Option<(Cell, char)>>> {
        let mut before = vec![vec![None; self.rows[0].len()]; self.rows.len()];
        before[self.start.0][self.start.1] = Some((self.start, ' '));
        let mut queue = VecDeque::from([self.start]);
        while let Some(cell) = queue.pop_front() {
            for (letter, down, right) in STEPS {
                if let Some(next) = self.step(cell, down, right) {
                    if before[next.0][next.1].is_none() {
                        before[next.0][next.1] = Some((cell, letter));
                        queue.push_back(next);
                    }
                }
            }
        }
        before
    }

    pub fn reachable(&self) -> usize {
        self.search().iter().flatten().filter(|cell| cell.is_some()).count()
    }

    /// The cells after the start on a shortest way, with the step that leads to each.
    fn way(&self) -> Option<Vec<(Cell, char)>> {
        let before = self.search();
        let mut way = Vec::new();
        let mut cell = self.end;
        while cell != self.start {
            let (previous, letter) = before[cell.0][cell.1]?;
            way.push((cell, letter));
            cell = previous;
        }
        way.reverse();
        Some(way)
    }

    pub fn path(&self) -> Option<String> {
        Some(self.way()?.iter().map(|(_, letter)| letter).collect())
    }

    pub fn solved(&self) -> Option<String> {
        let mut rows = self.rows.clone();
        for ((row, column), _) in self.way()? {
            if (row, column) != self.end {
                rows[row][column] = '*';
            }
        }
        let lines: Vec<String> = rows.iter().map(|row| row.iter().collect()).collect();
        Some(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAZE: &str = "#######\n#S..#E#\n###.#.#\n###...#\n#######\n";

    #[test]
    fn size_and_count() {
        let maze = Maze::parse(MAZE).unwrap();
        assert_eq!(maze.size(), (5, 7));
        assert_eq!(maze.count(), (26, 9));
        assert_eq!(maze.reachable(), 9);
    }

    #[test]
    fn shortest_way() {
        let maze = Maze::parse(MAZE).unwrap();
        assert_eq!(maze.path().unwrap(), "RRDDRRUU");
        assert_eq!(maze.solved().unwrap(), "#######\n#S**#E#\n###*#*#\n###***#\n#######");
    }

    #[test]
    fn no_way() {
        assert_eq!(Maze::parse("S#\n#E\n").unwrap().path(), None);
    }

    #[test]
    fn errors() {
        assert_eq!(Maze::parse("S.\nE\n").unwrap_err(), "ragged rows");
        assert_eq!(Maze::parse("S?E\n").unwrap_err(), "bad character '?'");
        assert_eq!(Maze::parse("..E\n").unwrap_err(), "no start");
        assert_eq!(Maze::parse("S..\n").unwrap_err(), "no end");
    }
}

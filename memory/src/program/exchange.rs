//! Programs as TOML, for people to read and edit.

use super::Program;

/// Why a text is not a program.
#[derive(Debug, thiserror::Error)]
#[error("this is not a program:\n{0}")]
pub struct ExchangeError(String);

/// The program as TOML.
pub fn to_toml(program: &Program) -> Result<String, ExchangeError> {
    toml::to_string_pretty(program).map_err(|e| ExchangeError(e.to_string()))
}

/// The program of a TOML text; errors carry line and column. It still has to be validated.
pub fn from_toml(text: &str) -> Result<Program, ExchangeError> {
    toml::from_str(text).map_err(|e| ExchangeError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::program::validate::tests::sample;

    proptest! {
        #[test]
        fn there_and_back(title in "\\PC*", text in "(?s).*", path in "[a-z]{1,8}", min in 0u32..9, n in 0usize..4) {
            let mut program = sample();
            program.title = title;
            let mut step = program.instructions[0].clone();
            step.text = text;
            step.reads = vec![path.clone(); n];
            step.checks.push(crate::program::Check {
                kind: crate::program::CheckKind::Words { path, section: None, min, max: 10 },
                covers: vec!["R1".into()],
            });
            program.instructions.push(step);
            let toml = to_toml(&program).unwrap();
            prop_assert_eq!(from_toml(&toml).unwrap(), program);
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error = from_toml("title = \"x\"\nrequirements = 3\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_misspelt_key_of_a_check_is_an_error() {
        let with =
            |check: &str| format!("{}\n[[instructions.checks]]\n{check}\n", to_toml(&sample()).unwrap());
        let runs = "kind = \"runs\"\ncommand = \"true\"\ncovers = [\"R1\"]\n";
        let check = from_toml(&with(runs)).unwrap().instructions[0].checks.pop().unwrap();
        assert_eq!(check.covers, ["R1".into()]);
        let error = from_toml(&with(&format!("{runs}exit_stauts = 1"))).unwrap_err().to_string();
        assert!(error.contains("exit_stauts"), "{error}");
        let error = from_toml(&with(&format!("{runs}output = {{ contain = [\"x\"] }}"))).unwrap_err();
        assert!(error.to_string().contains("contain"), "{error}");
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let toml = to_toml(&sample()).unwrap().replace("writes = ", "write = ");
        let error = from_toml(&toml).unwrap_err().to_string();
        assert!(error.contains("unknown field `write`"), "{error}");
    }
}

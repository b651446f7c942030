use std::collections::BTreeMap;

#[derive(Default)]
struct Account {
    balance: u64,
    history: Vec<String>,
}

#[derive(Default)]
pub struct Bank {
    accounts: BTreeMap<String, Account>,
}

fn parse_amount(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(amount) if amount > 0 => Ok(amount),
        _ => Err(format!("invalid amount: {text}")),
    }
}

impl Bank {
    /// Runs one command and returns the answer, or the message of the error.
    pub fn run(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["open", name] => self.open(name),
            ["balance", name] => Ok(format!("{name}: {}", self.account(name)?.balance)),
            ["deposit", name, amount] => {
                let amount = parse_amount(amount)?;
                self.account(name)?;
                self.change(name, amount, true)?;
                self.run(&["balance", name])
            }
            ["withdraw", name, amount] => {
                let amount = parse_amount(amount)?;
                self.account(name)?;
                self.change(name, amount, false)?;
                self.run(&["balance", name])
            }
            ["transfer", from, to, amount] => {
                let amount = parse_amount(amount)?;
                self.account(from)?;
                self.account(to)?;
                self.change(from, amount, false)?;
                self.change(to, amount, true)?;
                let (from_balance, to_balance) = (self.account(from)?.balance, self.account(to)?.balance);
                Ok(format!("{from}: {from_balance}, {to}: {to_balance}"))
            }
            ["close", name] => {
                if self.account(name)?.balance != 0 {
                    return Err(format!("balance not zero: {name}"));
                }
                self.accounts.remove(*name);
                Ok(format!("closed {name}"))
            }
            ["history", name] => {
                let history = &self.account(name)?.history;
                Ok(if history.is_empty() { "empty".to_string() } else { history.join(" ") })
            }
            ["accounts"] => {
                let lines: Vec<String> = self.accounts.iter().map(|(n, a)| format!("{n}: {}", a.balance)).collect();
                Ok(if lines.is_empty() { "no accounts".to_string() } else { lines.join(", ") })
            }
            [command @ ("open" | "balance" | "deposit" | "withdraw" | "transfer" | "close" | "history" | "accounts"), ..] => {
                Err(format!("usage: {command}"))
            }
            [command, ..] => Err(format!("unknown command: {command}")),
            [] => Err("empty command".to_string()),
        }
    }

    fn open(&mut self, name: &str) -> Result<String, String> {
        if self.accounts.contains_key(name) {
            return Err(format!("account exists: {name}"));
        }
        self.accounts.insert(name.to_string(), Account::default());
        Ok(format!("opened {name}"))
    }

    fn account(&mut self, name: &str) -> Result<&mut Account, String> {
        self.accounts.get_mut(name).ok_or_else(|| format!("no such account: {name}"))
    }

    fn change(&mut self, name: &str, amount: u64, add: bool) -> Result<(), String> {
        let account = self.account(name)?;
        if add {
            account.balance = account.balance.checked_add(amount).ok_or_else(|| format!("balance too large: {name}"))?;
            account.history.push(format!("+{amount}"));
        } else {
            let balance = account.balance;
            account.balance = balance
                .checked_sub(amount)
                .ok_or_else(|| format!("insufficient funds: {name} has {balance}, needs {amount}"))?;
            account.history.push(format!("-{amount}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(bank: &mut Bank, line: &str) -> String {
        bank.run(&line.split_whitespace().collect::<Vec<_>>()).unwrap()
    }

    fn err(bank: &mut Bank, line: &str) -> String {
        bank.run(&line.split_whitespace().collect::<Vec<_>>()).unwrap_err()
    }

    #[test]
    fn deposit_and_withdraw() {
        let mut bank = Bank::default();
        assert_eq!(ok(&mut bank, "open ann"), "opened ann");
        assert_eq!(ok(&mut bank, "deposit ann 50"), "ann: 50");
        assert_eq!(ok(&mut bank, "withdraw ann 20"), "ann: 30");
        assert_eq!(err(&mut bank, "withdraw ann 31"), "insufficient funds: ann has 30, needs 31");
    }

    #[test]
    fn failed_transfer_changes_nothing() {
        let mut bank = Bank::default();
        ok(&mut bank, "open ann");
        ok(&mut bank, "deposit ann 5");
        assert_eq!(err(&mut bank, "transfer ann zoe 5"), "no such account: zoe");
        assert_eq!(ok(&mut bank, "balance ann"), "ann: 5");
    }

    #[test]
    fn amounts() {
        for text in ["0", "-1", "1.5", "ten", ""] {
            assert!(parse_amount(text).is_err());
        }
        assert_eq!(parse_amount("7"), Ok(7));
    }
}

use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    Unknown,
    TooLittle,
}

#[derive(Debug, Default)]
pub struct Bank {
    accounts: BTreeMap<String, u64>,
}

impl Bank {
    pub fn deposit(&mut self, name: &str, amount: u64) -> u64 {
        let balance = self.accounts.entry(name.to_owned()).or_default();
        *balance += amount;
        *balance
    }

    pub fn withdraw(&mut self, name: &str, amount: u64) -> Result<u64, Error> {
        let balance = self.accounts.get_mut(name).ok_or(Error::Unknown)?;
        *balance = balance.checked_sub(amount).ok_or(Error::TooLittle)?;
        Ok(*balance)
    }

    pub fn names(&self) -> Vec<&str> {
        self.accounts.keys().map(String::as_str).collect()
    }
}

pub fn cents(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 100 + part.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_deposit() {
        let mut bank = Bank::default();
        assert_eq!(bank.deposit("ann", 5), 5);
        assert_eq!(bank.deposit("ann", 2), 7);
    }

    #[test]
    fn r2_withdraw() {
        let mut bank = Bank::default();
        bank.deposit("ann", 5);
        assert_eq!(bank.withdraw("ann", 2), Ok(3));
        assert_eq!(bank.withdraw("ann", 9), Err(Error::TooLittle));
        assert_eq!(bank.withdraw("bob", 1), Err(Error::Unknown));
    }

    #[test]
    #[should_panic]
    fn r3_names() {
        let mut bank = Bank::default();
        bank.deposit("bob", 1);
        bank.deposit("ann", 1);
        assert_eq!(bank.names(), ["ann", "bob"]);
    }

    #[test]
    fn r4_cents() {
        assert_eq!(cents("1.50"), Some(150));
        assert_eq!(cents("x"), None);
    }
}

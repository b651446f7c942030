//! The price table: what a person says models cost, and how amounts of money are read and written. Amounts stand in files and on
//! the command line as decimal numbers and are whole millionths everywhere else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::control::budget::{Money, Price, Tariff};

/// Millionths of one.
const MICROS: u64 = 1_000_000;
/// Decimals of a millionth.
const MICRO_DIGITS: usize = 6;
/// Decimals that an amount is written with at least.
const DIGITS_MIN: usize = 2;
/// Largest amount: up to it a decimal number is exact to the millionth.
const AMOUNT_MAX: f64 = 1e9;

/// An amount as a person writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Amount {
    /// In millionths.
    pub micros: u64,
}

impl TryFrom<f64> for Amount {
    type Error = String;

    fn try_from(amount: f64) -> Result<Self, String> {
        if (0.0..=AMOUNT_MAX).contains(&amount) {
            Ok(Self { micros: (amount * MICROS as f64).round() as u64 })
        } else {
            Err(format!("{amount} is no amount; it has to be between 0 and {AMOUNT_MAX}"))
        }
    }
}

impl From<Amount> for f64 {
    fn from(amount: Amount) -> Self {
        amount.micros as Self / MICROS as Self
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<f64>().map_err(|_| format!("{text:?} is no amount, such as 2.50"))?.try_into()
    }
}

/// Prices by the name of their model.
pub type Prices = BTreeMap<String, PriceConfig>;

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// A million prompt tokens.
    pub prompt_per_million: Amount,
    /// A million prompt tokens that the endpoint finds in its cache; those of a prompt when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_prompt_per_million: Option<Amount>,
    /// A million written tokens.
    pub completion_per_million: Amount,
    /// Of all three.
    #[serde(default = "currency_default")]
    pub currency: String,
}

fn currency_default() -> String {
    "USD".to_owned()
}

impl PriceConfig {
    fn price(&self) -> Price {
        Price {
            currency: self.currency.clone(),
            prompt_micros: self.prompt_per_million.micros,
            cached_prompt_micros: self.cached_prompt_per_million.unwrap_or(self.prompt_per_million).micros,
            completion_micros: self.completion_per_million.micros,
        }
    }
}

/// What a model costs: a local one nothing, any other what the table says of its name.
pub fn tariff(model: &ModelConfig, prices: &Prices) -> Tariff {
    match prices.get(&model.name) {
        _ if model.provider == "local" => Tariff::Free,
        Some(price) => Tariff::Priced(price.price()),
        None => Tariff::unsaid(&model.provider),
    }
}

/// An amount in words: `0.0123 USD`.
pub fn amount(micros: u64, currency: &str) -> String {
    let decimals = format!("{:0MICRO_DIGITS$}", micros % MICROS);
    let shown = decimals.trim_end_matches('0').len().max(DIGITS_MIN);
    format!("{}.{} {currency}", micros / MICROS, &decimals[..shown]).trim_end().to_owned()
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&amount(self.micros, ""))
    }
}

/// What was paid, in words. Where nothing has a price, it is the model that says why.
pub fn paid(money: &Money, tariff: &Tariff, provider: &str) -> String {
    let mut parts: Vec<_> = money.micros.iter().map(|(currency, micros)| amount(*micros, currency)).collect();
    if money.unpriced_calls > 0 {
        parts.push(format!("an unknown price for {} call(s)", money.unpriced_calls));
    }
    let estimated = match money.estimated_calls {
        0 => String::new(),
        calls => format!(" (the tokens of {calls} call(s) are estimated)"),
    };
    match tariff {
        _ if !parts.is_empty() => parts.join(" and ") + &estimated,
        Tariff::Free if provider == "local" => "free: local".to_owned(),
        Tariff::Free => "free".to_owned(),
        Tariff::Priced(price) => amount(0, &price.currency),
        Tariff::Unknown => "unknown".to_owned(),
    }
}

/// A tariff in words.
pub fn terms(tariff: &Tariff, provider: &str) -> String {
    match tariff {
        Tariff::Priced(price) => {
            let of = |micros| amount(micros, "");
            let Price { prompt_micros, cached_prompt_micros, completion_micros, currency } = price;
            format!(
                "{} {currency} for a million prompt tokens ({} cached), {} for a million written ones",
                of(*prompt_micros),
                of(*cached_prompt_micros),
                of(*completion_micros)
            )
        }
        Tariff::Unknown => "price unknown".to_owned(),
        Tariff::Free => paid(&Money::default(), tariff, provider),
    }
}

/// What to write into the configuration so that a model has a price.
pub fn example(model: &str) -> String {
    let key = toml::Value::String(model.to_owned());
    format!(
        "[prices.{key}] with prompt_per_million, completion_per_million and, where they differ, \
         cached_prompt_per_million and currency"
    )
}

#[cfg(test)]
mod tests {
    use edvac_agents::client::Usage;
    use proptest::prelude::*;

    use super::*;

    fn table(toml: &str) -> Prices {
        toml::from_str(toml).unwrap()
    }

    fn model(provider: &str, name: &str) -> ModelConfig {
        ModelConfig { provider: provider.into(), name: name.into(), ..ModelConfig::default() }
    }

    #[test]
    fn a_table_says_what_a_reply_costs() {
        let prices = table(
            "[\"big-4.1\"]\nprompt_per_million = 2.5\ncached_prompt_per_million = 0.625\n\
             completion_per_million = 10\n\
             [small]\nprompt_per_million = 0.15\ncompletion_per_million = 0.6\ncurrency = \"EUR\"\n",
        );
        let usage = Usage {
            prompt_tokens: 1_000_000,
            reused_tokens: 400_000,
            completion_tokens: 100_000,
            ..Usage::default()
        };
        let cost = |provider, name| tariff(&model(provider, name), &prices).cost_micros(&usage);
        assert_eq!(cost("openai", "big-4.1"), Some(1_500_000 + 250_000 + 1_000_000));
        assert_eq!(cost("openai", "small"), Some(150_000 + 60_000), "what is cached costs the same");
        assert_eq!(cost("openai", "other"), None, "nobody said");
        assert_eq!(cost("local", "small"), Some(0), "what runs here costs nothing");
        assert_eq!(cost("scripted:x", "other"), Some(0));
        assert_eq!(tariff(&model("openai", "small"), &prices).currency(), Some("EUR"));
    }

    #[test]
    fn a_token_costs_at_least_a_millionth() {
        let prices = table("[m]\nprompt_per_million = 0.15\ncompletion_per_million = 0.6\n");
        let one = Usage { prompt_tokens: 1, ..Usage::default() };
        assert_eq!(tariff(&model("openai", "m"), &prices).cost_micros(&one), Some(1));
    }

    #[test]
    fn amounts_as_people_write_them() {
        for (micros, said) in
            [(0, "0.00 USD"), (1, "0.000001 USD"), (2_500_000, "2.50 USD"), (1_234_560, "1.23456 USD")]
        {
            assert_eq!(amount(micros, "USD"), said);
        }
        assert_eq!("2.50".parse::<Amount>().unwrap().micros, 2_500_000);
        for wrong in ["-1", "NaN", "inf", "1e12", "2,50", "USD 2"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
        assert!(toml::from_str::<Prices>("[m]\nprompt_per_million = -1\n").is_err());
    }

    #[test]
    fn what_was_paid_in_words() {
        let nothing = Money::default();
        assert_eq!(paid(&nothing, &Tariff::Free, "local"), "free: local");
        assert_eq!(paid(&nothing, &Tariff::Unknown, "openai"), "unknown");
        let mut some = Money { micros: BTreeMap::from([("USD".into(), 20_000)]), ..Money::default() };
        some.pay(&Tariff::Unknown, &Usage::default());
        assert_eq!(paid(&some, &Tariff::Free, "local"), "0.02 USD and an unknown price for 1 call(s)");
        let prices = table("[m]\nprompt_per_million = 1\ncompletion_per_million = 1\n");
        let mut guessed = Money::default();
        let tariff = tariff(&model("openai", "m"), &prices);
        guessed.pay(&tariff, &Usage { prompt_tokens: 5, estimated: true, ..Usage::default() });
        let said = "0.000005 USD (the tokens of 1 call(s) are estimated)";
        assert_eq!(paid(&guessed, &tariff, "openai"), said);
    }

    proptest! {
        #[test]
        fn an_amount_that_is_written_is_read_as_it_was(micros in 0_u64..1_000_000_000_000_000) {
            let as_number = f64::from(Amount { micros });
            prop_assert_eq!(Amount::try_from(as_number).unwrap().micros, micros);
            let said = amount(micros, "");
            prop_assert_eq!(said.parse::<Amount>().unwrap().micros, micros);
        }
    }
}

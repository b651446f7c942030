//! On what terms a run is started or goes on: its limits, its model, and what that costs. Terms that cannot be kept are refused
//! before a model is loaded or asked.

use crate::config::ModelConfig;
use crate::control::budget::Tariff;
use crate::control::event::Limits;
use crate::run::{Machine, Paused, RunError};
use crate::{price, raise};

/// On what terms a run goes on.
pub struct Terms {
    pub(crate) limits: Limits,
    pub(crate) reached: ModelConfig,
    pub(crate) tariff: Tariff,
    pub(crate) second: Option<ModelConfig>,
}

impl Machine {
    /// What a model costs.
    pub(crate) fn tariff(&self, model: &ModelConfig) -> Tariff {
        price::tariff(model, &self.config.prices)
    }

    /// Refuses a limit on the cost that cannot be kept over two models.
    pub(crate) fn same_currency(
        &self,
        limits: &Limits,
        own: &Tariff,
        second: &ModelConfig,
    ) -> Result<(), RunError> {
        let tariff = self.tariff(second);
        priced(limits, &tariff, second)?;
        match (limits.cost_micros_max, own.currency(), tariff.currency()) {
            (Some(_), Some(own), Some(priced)) if own != priced => Err(RunError::TwoCurrencies {
                own: own.to_owned(),
                second: second.name.clone(),
                priced: priced.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The terms of a run that goes on with these limits and these models. `says_cost` is whether a person limits the cost now, and
    /// so in the model's currency.
    pub fn terms(
        &self,
        paused: &Paused,
        limits: Limits,
        reached: ModelConfig,
        second: Option<ModelConfig>,
        says_cost: bool,
    ) -> Result<Terms, RunError> {
        let state = &paused.state;
        let run = paused.dir.id.clone();
        if state.is_over() && state.cut_short(&limits).is_empty() {
            let command = raise::command(state).unwrap_or_default();
            return Err(RunError::CutShort { run, command });
        }
        let before = state.start.as_ref();
        let is_same = |model: &ModelConfig| model.provider == reached.provider && model.name == reached.name;
        let tariff = match (self.tariff(&reached), before.filter(|before| is_same(&before.reached))) {
            // What a journal knows does not get lost with a line of the configuration.
            (Tariff::Unknown, Some(before)) => before.tariff.clone(),
            (tariff, _) => tariff,
        };
        priced(&limits, &tariff, &reached)?;
        if let Some(second) = &second {
            self.same_currency(&limits, &tariff, second)?;
        }
        let limited = before.and_then(|before| before.currency()).unwrap_or_default();
        if let Some(priced) = tariff.currency()
            && limits.cost_micros_max.is_some()
            && !says_cost
            && !limited.is_empty()
            && limited != priced
        {
            let (limited, model, priced) = (limited.to_owned(), reached.name, priced.to_owned());
            return Err(RunError::OtherCurrency { run, limited, model, priced });
        }
        Ok(Terms { limits, reached, tariff, second })
    }
}

/// Refuses a limit on the cost that cannot be kept.
pub(crate) fn priced(limits: &Limits, tariff: &Tariff, model: &ModelConfig) -> Result<(), RunError> {
    match (limits.cost_micros_max, tariff) {
        (Some(_), Tariff::Unknown) => Err(RunError::UnknownPrice { model: model.name.clone() }),
        _ => Ok(()),
    }
}

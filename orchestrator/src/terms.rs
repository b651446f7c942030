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
}

impl Machine {
    /// What a model costs.
    pub(crate) fn tariff(&self, model: &ModelConfig) -> Tariff {
        price::tariff(model, &self.config.prices)
    }

    /// The terms of a run that goes on with these limits and this model. `says_cost` is whether a person limits the cost now, and
    /// so in the model's currency.
    pub fn terms(
        &self,
        paused: &Paused,
        limits: Limits,
        reached: ModelConfig,
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
        let limited = before.and_then(|before| before.tariff.currency()).unwrap_or_default();
        if let Some(priced) = tariff.currency()
            && limits.cost_micros_max.is_some()
            && !says_cost
            && !limited.is_empty()
            && limited != priced
        {
            let (limited, model, priced) = (limited.to_owned(), reached.name, priced.to_owned());
            return Err(RunError::OtherCurrency { run, limited, model, priced });
        }
        Ok(Terms { limits, reached, tariff })
    }
}

/// Refuses a limit on the cost that cannot be kept.
pub(crate) fn priced(limits: &Limits, tariff: &Tariff, model: &ModelConfig) -> Result<(), RunError> {
    match (limits.cost_micros_max, tariff) {
        (Some(_), Tariff::Unknown) => Err(RunError::UnknownPrice { model: model.name.clone() }),
        _ => Ok(()),
    }
}

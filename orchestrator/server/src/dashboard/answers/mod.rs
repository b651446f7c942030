//! What the API answers, and what pages are made of: one type for both, so that neither can say what the other does not.

mod files;
mod machine;
mod program;
mod run;

use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

pub(super) use files::{
    Between, BookAnswer, DiffAnswer, FilesAnswer, MemoryAnswer, OneFile, Wanted, Which, raw,
};
pub(super) use machine::ModelsAnswer;
pub(super) use program::{PlanAnswer, Versions};
pub(super) use run::{
    Filter, Moment, PromptAnswer, PromptPath, ReplayAnswer, RunAnswer, RunList, RunPage, StepAnswer,
    StepPath, Window,
};

/// Version of all JSON below `/api`.
const SCHEMA_VERSION: u32 = 1;

/// Stands in every answer as the number [`SCHEMA_VERSION`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SchemaVersion;

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(SCHEMA_VERSION)
    }
}

impl PartialSchema for SchemaVersion {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some([SCHEMA_VERSION]))
            .description(Some("Version of all JSON below `/api`. It changes where a field changes or goes, not where one comes."));
        schema.into()
    }
}

impl ToSchema for SchemaVersion {}

/// A run, by its name alone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RunName {
    /// Its id.
    pub run: String,
}

/// Which run.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RunPath {
    /// The run's id, or a beginning of it that no other run's has.
    pub run: String,
}

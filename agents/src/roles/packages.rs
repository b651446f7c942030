//! What planners and workers are told where packages of others may be installed; without that, nothing.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use serde_json::json;

use crate::templates::{TemplateError, Templates};

/// The sentence about them; `manifest` is the file that has to name them.
pub fn fragment(
    packages: &[String],
    manifest: &str,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Fragment, TemplateError> {
    let name = "prompts/packages.md";
    let text = templates.render(name, &json!({ "packages": packages, "manifest": manifest }))?;
    Ok(Fragment::new(FragmentKind::Domain, name, "packages that may be installed", text, counter))
}

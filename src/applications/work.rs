//! Carrying out what was asked for.

use std::sync::Arc;

use crate::app::App;
use crate::ids::ApplicationId;
use crate::operations::model::{Operation, Outcome};

/// One try.
pub async fn carry_out(_app: &Arc<App>, operation: &Operation, _id: ApplicationId) -> Outcome {
    Outcome::Failed(format!("{} of an application is not known yet", operation.action.name()))
}

//! Keeping an app from its clients.

use reqwest::Method;
use windlass_core::api::{MaintenanceTold, NewMaintenance};
use windlass_core::names::AppName;
use windlass_core::stage::Stage;

use super::{Client, ClientError, REQUEST_TIMEOUT, path_of};

impl Client {
    /// From now on, or in other words.
    pub(crate) async fn begin_maintenance(
        &self,
        stage: &Stage,
        app: &AppName,
        new: &NewMaintenance,
    ) -> Result<MaintenanceTold, ClientError> {
        let path = path_of(stage, &["apps", app.as_str(), "maintenance"]);
        self.json(self.request(Method::PUT, &path).json(new).timeout(REQUEST_TIMEOUT), &path).await
    }

    /// Lets its clients in again.
    pub(crate) async fn end_maintenance(&self, stage: &Stage, app: &AppName) -> Result<MaintenanceTold, ClientError> {
        let path = path_of(stage, &["apps", app.as_str(), "maintenance"]);
        self.json(self.request(Method::DELETE, &path).timeout(REQUEST_TIMEOUT), &path).await
    }
}

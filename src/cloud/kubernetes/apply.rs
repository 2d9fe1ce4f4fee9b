//! Writing and removing an application's objects.

use std::collections::BTreeSet;
use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Resource;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{ObjectMeta, PartialObjectMeta};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::namespace::apply;
use super::{FIELD_MANAGER, Kubernetes, labels, objects};
use crate::cloud::CloudError;
use crate::cloud::cluster::{AppOwner, DeployOrder, Part, SecretOrder, object_name};

impl Kubernetes {
    pub(super) async fn write_deployment(&self, order: &DeployOrder) -> Result<(), CloudError> {
        let spec = objects::deployment(order, self.config.profile, self.knows_sleep().await);
        self.write::<Deployment>(order.owner, &spec).await.map(drop)
    }

    pub(super) async fn write_service(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.write::<Service>(order.owner, &objects::service(order)).await.map(drop)
    }

    pub(super) async fn write_ingress(&self, order: &DeployOrder) -> Result<(), CloudError> {
        self.write::<Ingress>(order.owner, &objects::ingress(order, &self.config)).await.map(drop)
    }

    /// Two steps: the object itself, then its values by a merge patch, in which null removes one. So those that stay
    /// need not be read, and no answer holds a value: the names that are there are known from who wrote which field.
    pub(super) async fn write_secret(&self, owner: AppOwner, order: &SecretOrder) -> Result<(), CloudError> {
        if order.keep.is_empty() && order.set.is_empty() {
            return self.delete_part(owner, Part::Secret).await;
        }
        let written = self.write::<Secret>(owner, &objects::empty_secret(owner)).await?;
        let data = secret_changes(order, &value_names(&written.metadata));
        if data.is_empty() {
            return Ok(());
        }
        let (name, secrets) = (object_name(owner.application), self.objects_of::<Secret>(owner));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"data": data}));
        self.writing(owner, || secrets.patch_metadata(&name, &params, &patch)).await.map(drop)
    }

    pub(super) async fn scale_deployment(&self, owner: AppOwner, replicas: u32) -> Result<(), CloudError> {
        let (name, deployments) = (object_name(owner.application), self.objects_of::<Deployment>(owner));
        if self.ours::<Deployment>(owner).await?.is_none() {
            return Err(CloudError::NotFound(format!("there is no Deployment {name}")));
        }
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.inside(owner, || deployments.patch_scale(&name, &params, &patch)).await.map(drop)
    }

    pub(super) async fn delete_part(&self, owner: AppOwner, part: Part) -> Result<(), CloudError> {
        match part {
            Part::Secret => self.remove::<Secret>(owner).await,
            Part::Deployment => self.remove::<Deployment>(owner).await,
            Part::Service => self.remove::<Service>(owner).await,
            Part::Ingress => self.remove::<Ingress>(owner).await,
        }
    }

    /// Writes an object of the application's name, unless there is one that is not ours.
    async fn write<K>(&self, owner: AppOwner, spec: &Value) -> Result<PartialObjectMeta<K>, CloudError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        self.ours::<K>(owner).await?;
        let (name, objects) = (object_name(owner.application), self.objects_of::<K>(owner));
        let (params, patch) = (apply(), Patch::Apply(spec));
        self.writing(owner, || objects.patch_metadata(&name, &params, &patch)).await
    }

    /// Removes an object of the application's name, if it is ours, and exactly the one that was looked at.
    async fn remove<K>(&self, owner: AppOwner) -> Result<(), CloudError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let Some(found) = self.ours::<K>(owner).await? else { return Ok(()) };
        let (name, objects) = (object_name(owner.application), self.objects_of::<K>(owner));
        let exactly = Preconditions { uid: found.metadata.uid, ..Preconditions::default() };
        // In the background: what hangs on it goes after it, and is counted until it is gone.
        let params = DeleteParams::background().preconditions(exactly);
        self.found_inside(owner, || objects.delete(&name, &params)).await.map(drop)
    }

    /// The object of the application's name, if there is one.
    ///
    /// # Errors
    /// [`CloudError::Rejected`] when it is not ours.
    pub(super) async fn ours<K>(&self, owner: AppOwner) -> Result<Option<PartialObjectMeta<K>>, CloudError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let (name, objects) = (object_name(owner.application), self.objects_of::<K>(owner));
        let found = self.found_inside(owner, || objects.get_metadata(&name)).await?;
        if let Some(found) = &found
            && labels::owner(&found.metadata) != Some(owner)
        {
            let kind = K::kind(&());
            return Err(CloudError::Rejected(format!("the {kind} {name} exists and is not ours: its labels say so")));
        }
        Ok(found)
    }
}

/// The names of a Secret's values, from the server's notes on who wrote which field.
fn value_names(metadata: &ObjectMeta) -> BTreeSet<String> {
    let notes = metadata.managed_fields.iter().flatten();
    let data = notes.filter_map(|note| note.fields_v1.as_ref()?.0.get("f:data")?.as_object());
    data.flat_map(|fields| fields.keys()).filter_map(|key| Some(key.strip_prefix("f:")?.to_owned())).collect()
}

/// A merge patch's `data`: what is set, and null for what is there and does not stay.
fn secret_changes(order: &SecretOrder, present: &BTreeSet<String>) -> Map<String, Value> {
    let stays = |name: &String| order.keep.contains(name) || order.set.iter().any(|(set, _)| set == name);
    let removed = present.iter().filter(|name| !stays(name)).map(|name| (name.clone(), Value::Null));
    let set = order.set.iter().map(|(name, value)| (name.clone(), json!(STANDARD.encode(value.expose_secret()))));
    removed.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_secret_keeps_what_is_named_and_loses_the_rest() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            {"manager": "fast-cloud", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {}}, "f:type": {}}},
            {"manager": "fast-cloud", "operation": "Update", "fieldsV1": {"f:data": {".": {}, "f:OLD": {}, "f:KEPT": {}}}},
        ]}))
        .unwrap();
        let present = value_names(&metadata);
        assert_eq!(present, BTreeSet::from(["KEPT".to_owned(), "OLD".to_owned()]));
        let order = SecretOrder {
            set: vec![("NEW".to_owned(), SecretString::from("geheim"))],
            keep: vec!["KEPT".to_owned(), "NEW".to_owned()],
        };
        assert_eq!(Value::from(secret_changes(&order, &present)), json!({"OLD": null, "NEW": "Z2VoZWlt"}));
        assert!(
            secret_changes(&SecretOrder { set: vec![], keep: vec!["KEPT".into(), "OLD".into()] }, &present).is_empty()
        );
    }
}

//! Everything a scenario needs at once: provider, cluster, gateway.

use std::net::SocketAddr;

use crate::Failure;
use crate::cluster::{Cluster, Options};
use crate::gateway::{Gateway, Place};
use crate::login::Person;
use crate::provider::{Provider, Registration};
use crate::workdir::WorkDir;

/// A running whole. Fields are dropped in this order: the gateway first, the provider last.
#[derive(Debug)]
pub struct World {
    /// nginx.
    pub gateway: Gateway,
    /// The replicas.
    pub cluster: Cluster,
    /// The provider; `None` where the scenario brings its own.
    provider: Option<Provider>,
    /// Host and ports that browsers see.
    pub place: Place,
    /// Logs and data.
    pub dir: WorkDir,
}

impl World {
    /// Starts provider, three replicas and nginx, and waits until all are ready.
    pub async fn start(name: &str, options: &Options) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(name);
        Self::start_in(dir, options).await
    }

    /// As [`World::start`], in a directory that exists.
    pub async fn start_in(dir: WorkDir, options: &Options) -> Result<Self, Failure> {
        let place = Place::draw();
        let provider = Provider::start(&dir, &place.callback()).await?;
        let registration = provider.registration();
        Self::start_with(dir, place, &registration, Some(provider), options).await
    }

    /// With a provider of the scenario's own.
    pub async fn start_with(
        dir: WorkDir,
        place: Place,
        registration: &Registration,
        provider: Option<Provider>,
        options: &Options,
    ) -> Result<Self, Failure> {
        let mut cluster = Cluster::lay(&dir, place, registration, options).await?;
        cluster.start().await?;
        let gateway = Gateway::start(&dir, place, &cluster.addresses()).await?;
        Ok(Self { gateway, cluster, provider, place, dir })
    }

    /// The npm provider.
    pub fn provider(&self) -> Result<&Provider, Failure> {
        self.provider.as_ref().ok_or_else(|| "this scenario has a provider of its own".into())
    }

    /// Public listener of one replica.
    pub fn replica(&self, index: usize) -> SocketAddr {
        self.cluster.replicas[index].http
    }

    /// People who are known to the provider already: each has logged in once, in turn over the replicas.
    pub async fn people(&self, count: usize) -> Result<Vec<Person>, Failure> {
        let mut people = Person::many(count, self.place);
        for (index, person) in people.iter_mut().enumerate() {
            person.log_in(self.replica(index % self.cluster.replicas.len())).await?;
        }
        Ok(people)
    }
}

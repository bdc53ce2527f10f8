//! A small Kubernetes for one rendered StatefulSet: what a kubelet, the endpoints of a Service, a network policy and an
//! ingress controller do, out of network namespaces, real processes and a real nginx.

pub mod container;
pub mod example;
pub mod helm_test;
pub mod ingress;
pub mod manifest;
pub mod network;
pub mod observer;
pub mod pod;
pub mod set;
pub mod stage;

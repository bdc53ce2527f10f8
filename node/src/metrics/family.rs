//! Makes and registers families of metrics, and notes what each one is.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// What a family is, for `docs/metrics.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name, without the suffixes of a histogram.
    pub name: String,
    /// Its type in Prometheus' words.
    pub kind: &'static str,
    /// Its labels, in the order of the code.
    pub labels: Vec<String>,
    /// What it means.
    pub help: String,
}

/// Makes and registers families. Names and labels are fixed in the code, so that nothing can fail.
#[derive(Default)]
pub(super) struct Family {
    pub registry: Registry,
    made: RefCell<Vec<Described>>,
}

impl Family {
    /// Everything made so far.
    pub fn described(&self) -> Vec<Described> {
        self.made.borrow().clone()
    }

    fn registered<C: Collector + Clone + 'static>(
        &self,
        name: &str,
        kind: &'static str,
        labels: &[&str],
        help: &str,
        made: prometheus::Result<C>,
    ) -> C {
        let collector = made.expect("names and labels in the code are well-formed");
        self.registry.register(Box::new(collector.clone())).expect("each family is registered once");
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.made.borrow_mut().push(Described { name: name.to_owned(), kind, labels, help: help.to_owned() });
        collector
    }

    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(name, "counter", &[], help, IntCounter::new(name, help))
    }

    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(name, "counter", labels, help, IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(name, "gauge", &[], help, IntGauge::new(name, help))
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.registered(name, "gauge", labels, help, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn float(&self, name: &str, help: &str) -> Gauge {
        self.registered(name, "gauge", &[], help, Gauge::new(name, help))
    }

    pub fn floats(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.registered(name, "gauge", labels, help, GaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.registered(name, "histogram", &[], help, Histogram::with_opts(options))
    }

    pub fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.registered(name, "histogram", labels, help, HistogramVec::new(options, labels))
    }
}

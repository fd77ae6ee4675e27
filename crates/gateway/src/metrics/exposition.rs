//! The numbers as text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use windlass_core::gateway::{GatewayStatus, TargetState};
use windlass_core::names::ReleaseNumber;

use super::Numbers;
use crate::meters::{BOUNDS, CLASSES, Latency, RouteKey, RouteMeter};

/// What is said at one moment.
#[derive(Debug)]
struct Exposition {
    status: GatewayStatus,
    connections: usize,
    most_connections: usize,
    since: f64,
    lost_lines: Option<u64>,
    routes: Vec<(RouteKey, std::sync::Arc<RouteMeter>)>,
    latencies: Vec<(windlass_core::gateway::ServiceKey, std::sync::Arc<Latency>)>,
    unrouted: [u64; CLASSES.len()],
}

pub(super) async fn text(numbers: &Numbers) -> Result<String, fmt::Error> {
    let Numbers { board, seats, seen, since } = numbers;
    let mut registry = Registry::with_prefix("windlass_gateway");
    let meters = seen.meters.as_ref();
    registry.register_collector(Box::new(Exposition {
        status: board.status().await,
        connections: seats.taken(),
        most_connections: seats.most(),
        since: since.as_duration().as_secs_f64(),
        lost_lines: seen.log.as_ref().map(|log| log.lost()),
        routes: meters.map(|meters| meters.routes()).unwrap_or_default(),
        latencies: meters.map(|meters| meters.latencies()).unwrap_or_default(),
        unrouted: meters.map(|meters| meters.unrouted().requests()).unwrap_or_default(),
    }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let mut build = to.encode_descriptor("build", "What runs", None, MetricType::Info)?;
        build.encode_info(&[("version", self.status.version.as_str())])?;
        gauge(to, "start_time_seconds", "When the gateway started, in seconds since 1970", &self.since)?;
        gauge(to, "connections", "Connections of clients", &count(self.connections))?;
        gauge(to, "connections_limit", "Connections of clients at the most", &count(self.most_connections))?;
        if let Some(lost) = self.lost_lines {
            let help = "Requests that are missing from the access log";
            let mut lines = to.encode_descriptor("access_log_lost_lines", help, None, MetricType::Counter)?;
            lines.encode_counter::<NoLabelSet, _, u64>(&lost, None)?;
        }
        self.requests(to)?;
        self.latencies(to)?;
        self.targets(to)?;
        self.certificates(to)
    }
}

impl Exposition {
    fn requests(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests by route, release and the answer's status";
        let mut requests = to.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (key, meter) in &self.routes {
            for (class, count) in CLASSES.iter().zip(meter.requests()).filter(|(_, count)| *count > 0) {
                let labels = (labels(key), [("status", *class)]);
                requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "Bytes of answers' bodies by route and release";
        let mut sent = to.encode_descriptor("sent_bytes", help, None, MetricType::Counter)?;
        for (key, meter) in &self.routes {
            sent.encode_family(&labels(key))?.encode_counter::<NoLabelSet, _, u64>(&meter.bytes(), None)?;
        }
        let help = "Requests that no route matched, or that were no requests, by the answer's status";
        let mut unrouted = to.encode_descriptor("unrouted_requests", help, None, MetricType::Counter)?;
        for (class, count) in CLASSES.iter().zip(self.unrouted).filter(|(_, count)| *count > 0) {
            unrouted.encode_family(&[("status", *class)])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn latencies(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "From a request's head to the first byte of the app's answer, by service";
        let mut first_byte = to.encode_descriptor("first_byte_seconds", help, None, MetricType::Histogram)?;
        for (key, latency) in &self.latencies {
            let (counts, sum) = latency.read();
            let bounds = BOUNDS.iter().map(|micros| std::time::Duration::from_micros(*micros).as_secs_f64());
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let labels = [("service", key.0.as_str())];
            let mut family = first_byte.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)?;
        }
        Ok(())
    }

    fn targets(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = || self.status.services.iter().flat_map(|it| it.targets.iter().map(|target| (&it.key, target)));
        let help = "1: it gets requests; 0: it fails its probes, and gets requests only when all do";
        let mut healthy = to.encode_descriptor("target_healthy", help, None, MetricType::Gauge)?;
        for (key, target) in all().filter(|(_, it)| matches!(it.state, TargetState::Healthy | TargetState::Unhealthy)) {
            let labels = [("service", key.0.as_str()), ("target", target.name.as_str())];
            let value = i64::from(target.state == TargetState::Healthy);
            healthy.encode_family(&labels)?.encode_gauge(&value)?;
        }
        let help = "Requests under way, tunnels included, also of targets that join or drain";
        let mut under_way = to.encode_descriptor("target_requests", help, None, MetricType::Gauge)?;
        for (key, target) in all() {
            let state = match target.state {
                TargetState::Joining => "joining",
                TargetState::Healthy | TargetState::Unhealthy => "serving",
                TargetState::Draining => "draining",
            };
            let labels = [("service", key.0.as_str()), ("target", target.name.as_str()), ("state", state)];
            under_way.encode_family(&labels)?.encode_gauge(&count(target.in_flight))?;
        }
        let help = "The release that gets the traffic";
        let mut releases = to.encode_descriptor("release", help, None, MetricType::Gauge)?;
        for service in &self.status.services {
            let ReleaseNumber(release) = service.release;
            releases.encode_family(&[("service", service.key.0.as_str())])?.encode_gauge(&count(release))?;
        }
        let help = "1: the app is kept from its clients";
        let mut maintenance = to.encode_descriptor("maintenance", help, None, MetricType::Gauge)?;
        for (key, said) in &self.status.maintenance {
            maintenance.encode_family(&[("service", key.0.as_str())])?.encode_gauge(&i64::from(said.is_on))?;
        }
        Ok(())
    }

    fn certificates(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "When the certificate that is shown for a name ends, in seconds since 1970; 0: it is signed by nobody";
        let mut ends = to.encode_descriptor("certificate_end_seconds", help, None, MetricType::Gauge)?;
        for certificate in &self.status.certificates {
            let labels = [("name", certificate.name.as_str()), ("source", certificate.source.as_str())];
            let end = certificate.ends.map_or(0, |end| end.as_second());
            ends.encode_family(&labels)?.encode_gauge(&end)?;
        }
        Ok(())
    }
}

fn labels(key: &RouteKey) -> impl EncodeLabelSet {
    let RouteKey { service, host, path, release } = key;
    [("service", service.0.clone()), ("release", release.to_string()), ("host", host.clone()), ("path", path.clone())]
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl prometheus_client::encoding::EncodeGaugeValue,
) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

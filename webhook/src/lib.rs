//! The service: deliveries, gate, runner, API and pages.

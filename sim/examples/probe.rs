use afflux_sim::{Scenario, run};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let file = &args[1];
    let strategies: Vec<&str> = args[2].split(',').collect();
    let seeds: u64 = args[3].parse().unwrap();
    let source = std::fs::read_to_string(file).unwrap();
    let scenario = Scenario::parse(&source).unwrap();
    for s in strategies {
        for seed in 1..=seeds {
            let t = Instant::now();
            let mut log = ();
            match run(&scenario, s, seed, &mut log, &|| false) {
                Err(e) => println!("{s} seed {seed}: ERROR {e}"),
                Ok(o) => {
                    let v: Vec<_> = o.peers.iter().filter(|p| p.viewer && p.counted).collect();
                    let mean = |f: &dyn Fn(&&afflux_sim::PeerOutcome) -> f64| {
                        v.iter().map(f).sum::<f64>() / v.len().max(1) as f64
                    };
                    let dl: Vec<f64> = o
                        .peers
                        .iter()
                        .filter_map(|p| p.download)
                        .map(|d| d.as_secs_f64())
                        .filter(|d| *d > 0.0)
                        .collect();
                    let sk: Vec<f64> =
                        v.iter().flat_map(|p| p.seeks.iter().map(|d| d.as_secs_f64())).collect();
                    let dup: u64 = v.iter().map(|p| p.duplicate_bytes).sum();
                    let rec: u64 = v.iter().map(|p| p.received_bytes).sum();
                    print!(
                        "dup {:.2}% seek {:.2} div {:.3} ",
                        dup as f64 * 100.0 / rec.max(1) as f64,
                        sk.iter().sum::<f64>() / sk.len().max(1) as f64,
                        o.diversity
                    );
                    println!(
                        "{s:12} seed {seed}: viewers {} startup {:.2} stalls {:.2} stalled {:.2} ontime {:.4} dl n {} mean {:.1} wall {:.1}s",
                        v.len(),
                        mean(&|p| p.startup.map_or(0.0, |d| d.as_secs_f64())),
                        mean(&|p| f64::from(p.stalls)),
                        mean(&|p| p.stalled.as_secs_f64()),
                        mean(&|p| p.on_time.0 as f64 / (p.on_time.1.max(1)) as f64),
                        dl.len(),
                        dl.iter().sum::<f64>() / dl.len().max(1) as f64,
                        t.elapsed().as_secs_f64()
                    );
                }
            }
        }
    }
}

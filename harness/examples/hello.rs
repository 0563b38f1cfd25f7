//! A bare axum server, for benchmarks to compare with: `hello PORT`.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    axum::serve(listener, router).await?;
    Ok(())
}

//! The command line: `fast-cloud serve | check | migrate | admin create`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fast_cloud::config::Config;
use fast_cloud::{check, start};

/// A classroom cloud portal: mini PCs, containers and files in one or two clicks.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// The configuration file; without it, config.toml of the working folder if there is one.
    #[arg(long, global = true, env = "FASTCLOUD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the portal (the default).
    Serve,
    /// Try the database, the clouds and every template, and say what to do about what does not work.
    Check,
    /// Bring the database's tables up to date, and end.
    Migrate,
    /// Admin accounts.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make an admin: without options print a one-time link; with a login id read the password from standard input.
    Create {
        #[arg(long, requires = "name")]
        login_id: Option<String>,
        #[arg(long, requires = "login_id")]
        name: Option<String>,
    },
}

#[actix_web::main]
async fn main() -> ExitCode {
    // Reads the named points at which tests freeze the process, from FAILPOINTS; they exist in test builds only.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fast-cloud: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.config.as_deref())?;
    start::tracing(&config.log)?;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => start::serve(config).await.map(|()| ExitCode::SUCCESS),
        Command::Check => {
            let fine = check::run(config).await?;
            Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Migrate => {
            for name in start::migrate(&config)? {
                println!("{name}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin { command: AdminCommand::Create { login_id: None, .. } } => {
            println!("{}", start::setup_link(&config)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin { command: AdminCommand::Create { login_id: Some(login_id), name } } => {
            let mut password = String::new();
            std::io::stdin().take(4096).read_to_string(&mut password)?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            start::create_admin(&config, &login_id, &name.unwrap_or_default(), password).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

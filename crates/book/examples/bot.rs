//! A bot that changes its own PIN; run it by a timer. It survives restarts at any moment, lost answers and wrong PINs.
//! The file `pin.txt` contains the PIN. `pin.next` exists while a change is pending.
//!
//! ```sh
//! cargo run -p mixin-pin-book --example bot -- keystore.json pin.txt [API]
//! ```

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use mixin_pin_core::{Pin, SystemRng, UnixTime, rand_core::Rng as _};
use mixin_pin_http::{Client, DEFAULT_API, Outcome, Verdict};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::SqliteStore;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let (Some(keystore), Some(pin_file)) = (args.next(), args.next().map(PathBuf::from)) else {
        return Err("usage: bot KEYSTORE PIN_FILE [API]".into());
    };
    let session = Keystore::parse(&fs::read(keystore)?)?.into_session(&mut SystemRng::new()?)?;
    let store = SqliteStore::open(&pin_file.with_extension("iterators.db"))?;
    let api = args.next().unwrap_or_else(|| DEFAULT_API.to_owned());
    let client = Client::builder(session).base_url(api).store(store).build()?;

    let next_file = pin_file.with_extension("next");
    let current = read(&pin_file)?.ok_or("the PIN file is missing")?;
    if let Some(next) = read(&next_file)? {
        println!("a change was pending when this program stopped");
        return settle(&client, &current, &next, None, &pin_file, &next_file);
    }
    let next = new_pin()?;
    // Write it before it is sent: after a crash both PINs are known.
    write(&next_file, &next)?;
    match client.change_pin(&current, &next) {
        Ok(Outcome::Done(_)) => Ok(fs::rename(&next_file, &pin_file)?),
        Ok(Outcome::Unknown(lost)) => settle(&client, &current, &next, lost.expires_at, &pin_file, &next_file),
        // Nothing changed. Do not try again by itself: a wrong PIN costs one of the day's five tries.
        Err(error) => fs::remove_file(&next_file).map_err(Into::into).and(Err(error.into())),
    }
}

fn settle(client: &Client, old: &Pin, new: &Pin, expires: Option<UnixTime>, pin: &Path, next: &Path) -> Result<()> {
    match client.resolve_update(Some(old.into()), new.into(), expires)?.settle()?.verdict {
        Verdict::Applied(_) => Ok(fs::rename(next, pin)?),
        Verdict::NotApplied(_) => Ok(fs::remove_file(next)?),
        // Keep both files; the next run settles the change.
        other => Err(format!("not settled yet: {other:?}").into()),
    }
}

fn read(path: &Path) -> Result<Option<Pin>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Pin::new(bytes.trim_ascii())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes the whole file or nothing, even if the power fails.
fn write(path: &Path, pin: &Pin) -> Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?; // mode 600
    file.write_all(pin.expose())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(fs::File::open(folder)?.sync_all()?)
}

/// Draws each of the million PINs with the same probability.
fn new_pin() -> Result<Pin> {
    let mut rng = SystemRng::new()?;
    let number = std::iter::repeat_with(|| rng.next_u32() >> 12).find(|number| *number < 1_000_000);
    Ok(Pin::new(format!("{:06}", number.unwrap_or_default()))?)
}

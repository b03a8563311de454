//! A disk of its own for a store: a file with an ext4 filesystem. Linux makes it read-only as after an error of the disk, also for
//! the files that the gateway has open.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// More than the file and the log of the largest test. The image has holes where nothing was written.
const SIZE: u64 = 512 << 20;

/// A mounted disk. It is unmounted when this is dropped.
pub(crate) struct Disk {
    image: PathBuf,
    folder: PathBuf,
}

impl Disk {
    /// A new disk in this image, mounted over a folder. `None` where that is not allowed, or not installed.
    pub(super) fn mount(image: &Path, folder: &Path) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(SIZE)).expect("an image");
        let disk = Self { image: image.to_owned(), folder: folder.to_owned() };
        let is_made = executes(Command::new("mkfs.ext4").args(["-q", "-F", "-J", "size=4"]).arg(image));
        (is_made && disk.attach()).then_some(disk)
    }

    fn attach(&self) -> bool {
        executes(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).args([&self.image, &self.folder]))
    }

    /// Whether there can be such a disk: mounts need root.
    pub(super) fn is_possible() -> bool {
        static IS_POSSIBLE: OnceLock<bool> = OnceLock::new();
        *IS_POSSIBLE.get_or_init(|| {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
            let place = folder.path().join("place");
            fs::create_dir(&place).expect("a folder");
            Self::mount(&folder.path().join("image"), &place).is_some_and(|disk| {
                disk.fail();
                File::create(place.join("file")).is_err()
            })
        })
    }

    /// Makes the kernel abort the filesystem, as after an error of the disk: nothing can be written any more, also to files that the
    /// gateway has open, and what was not synced is lost.
    pub(super) fn fail(&self) {
        executes(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.folder));
    }

    /// Checks the disk and mounts it for writing, after the gateway has ended.
    pub(super) fn repair(&self) {
        assert!(executes(Command::new("umount").arg(&self.folder)), "no process uses the disk");
        let checked = Command::new("e2fsck").arg("-p").arg(&self.image).stdout(Stdio::null()).status();
        // Its status is 1 if it corrected something.
        assert!(checked.is_ok_and(|status| matches!(status.code(), Some(0 | 1))), "the disk is whole");
        assert!(self.attach(), "it is mounted again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        executes(Command::new("umount").arg("--lazy").arg(&self.folder));
    }
}

fn executes(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

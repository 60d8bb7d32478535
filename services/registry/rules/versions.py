"""Rules of what is said and allowed about one version: release, lift, edit, download. Pure."""

from services.registry.rules.known import (
    Known,
    Moment,
    Refused,
    change,
    check_not_quarantined,
    live,
)
from shared.messages import (
    DownloadGranted,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    ReleaseVersion,
    RestrictionLifted,
    VersionEdited,
    VersionReleased,
)
from shared.notes import broken_rules
from shared.texts import shown
from shared.values import Notes, Reason, Restriction


def release(command: ReleaseVersion, known: Known, moment: Moment) -> VersionReleased:
    """Take a version out of quarantine."""
    version = live(command, command.version, known)
    if not version.quarantined:
        message = f"{command.model} {command.version} is not in quarantine: there is nothing to release it from"
        raise Refused(Reason.NOT_QUARANTINED, message)
    return change(command, VersionReleased, known, moment, version=command.version)


def lift(command: LiftRestriction, known: Known, moment: Moment) -> RestrictionLifted:
    """Allow the download of a version although it descends from a restricted one. Its own descendants stay as they are."""
    version = live(command, command.version, known)
    name = f"{command.model} {command.version}"
    if Restriction.AUTO_LEARNING in version.imported.restrictions:
        message = f"{name} was made by automatic learning: that restriction is never lifted"
        raise Refused(Reason.NOT_LIFTABLE, message)
    if Restriction.DERIVED not in version.restrictions:
        message = f"{name} is not restricted by what it descends from: there is nothing to lift"
        raise Refused(Reason.NOTHING_TO_CHANGE, message)
    if command.version in known.twins:
        message = f"{name} has bytes of {known.twins[command.version]}, made by automatic learning: that restriction is never lifted"
        raise Refused(Reason.NOT_LIFTABLE, message)
    return change(command, RestrictionLifted, known, moment, version=command.version, restriction=Restriction.DERIVED)


def edit(command: EditVersion, known: Known, moment: Moment) -> VersionEdited:
    """Say anew what is said of a version."""
    version = live(command, command.version, known)
    said = {name: getattr(command, name) for name in Notes.model_fields if getattr(command, name) is not None}
    after = version.notes.model_copy(update=said)
    broken = next(broken_rules(Notes(**said)), None)
    if broken:
        raise Refused(broken.reason, broken.message)
    if after == version.notes:
        message = f"labels, description and documents of {command.model} {command.version} are so already"
        raise Refused(Reason.NOTHING_TO_CHANGE, message)
    return change(command, VersionEdited, known, moment, version=command.version, before=version.notes, after=after)


def download(command: DownloadVersion, known: Known, moment: Moment) -> DownloadGranted:
    """Let somebody read the bytes of a version for a short time."""
    version = live(command, command.version, known)
    name, package = f"{command.model} {command.version}", version.imported.package
    check_not_quarantined(version)
    why_not = why_restricted(known, command.version)
    if why_not:
        raise Refused(Reason.VERSION_RESTRICTED, f"{name} {why_not}")
    if package.in_place:
        where = shown(version.imported.source.location)
        raise Refused(
            Reason.KEPT_IN_PLACE, f"the bytes of {name} were left in place: expected them to be read at {where}"
        )
    time = moment.after(known.head)
    grant = moment.grant(version, time)
    return change(command, DownloadGranted, known, moment, version=command.version, grant=grant)


def why_restricted(known: Known, number: str) -> str | None:
    """Why the bytes of a version may not be downloaded at all, None where they may."""
    version = known.versions[number]
    if Restriction.AUTO_LEARNING in version.restrictions:
        return "was made by automatic learning: it can be deployed, never downloaded"
    if number in known.twins:
        return f"has bytes of {known.twins[number]}, made by automatic learning: it can be deployed, never downloaded"
    if Restriction.DERIVED in version.restrictions:
        parents = version.restricted_by
        nodes = shown(parents[0]) if parents else "a restricted version"
        more = f" and {len(parents) - 1} more" if len(parents) > 1 else ""
        return f"descends from {nodes}{more}, made by automatic learning: expected `modelkin lift` first"
    return None

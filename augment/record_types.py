"""What each stage's document holds: one class for its records and one for its summary, all frozen dataclasses.

The order of the fields is the order on disk. A field with a default may be absent there: documents of earlier versions
lack it, or it is left out where there is nothing to say. Numbers between 0 and 1 are shares unless a comment says more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from augment.json_objects import JsonObject

Box: TypeAlias = Sequence[float]  # x, y, width, height in pixels of the upright image, from its top left corner
Counts: TypeAlias = Mapping[str, int]
Recalls: TypeAlias = Mapping[str, float | None]  # by label; None where the class has no image to measure on
PlainJson: TypeAlias = Mapping[str, Any]  # what another package defines, written and read as it is


class NoSummary(JsonObject):
    """The summary of a stage that has nothing to say of the whole."""


# Stage 1, dataset


class FileFacts(JsonObject):
    """What reading one file found; or `reason`, why it cannot be used, and nothing else. `id` is its path."""

    id: str
    reason: str = ""
    sha256: str = ""
    width: int = 0  # pixels
    height: int = 0  # pixels
    phash: str = ""  # 64 bits in hex
    thumbnail: str = ""  # base64 of its pixels
    notes: Sequence[str] = ()
    span: Sequence[float] = ()  # of a radiometric picture: its least and its greatest value
    outline: str = ""  # base64 of a JPEG, see data.offline_copies
    traits: Mapping[str, float | str] | None = None  # of the file and its picture, see evaluation.picture_traits


class DatasetRecord(JsonObject):
    """One usable real image."""

    id: str
    path: str  # relative to the source's root
    sha256: str
    width: int  # pixels
    height: int  # pixels
    label: str
    split: str  # train, val or test
    group: str  # images that show the same thing share it
    origin: str = ""  # layout of the source, or feedback
    phash: str  # 64 bits in hex
    notes: Sequence[str]
    boxes: Sequence[Box] = ()  # around what makes the image what its label says


class LeftOut(JsonObject):
    """A file that is no record, and why."""

    path: str
    reason: str


class Shortcut(JsonObject):
    """One way to tell a class without looking at what its pictures show."""

    kind: str  # container: of the file, which warns; content: of a glance at the picture, which is only told
    label: str
    traits: Sequence[str]  # keys of evaluation.shortcut_audit.TRAITS, the strongest first; none: all of them together
    area: float  # under the ROC curve, of pictures judged by other groups: 0.5 is chance, 1 tells every one
    sentence: str


class ToldProblem(JsonObject):
    """What was wrong with the data and is left out: file and line, relative to the source's root, and a sentence."""

    where: str
    sentence: str


class DatasetSummary(JsonObject):
    """What the data set holds, class by class and split by split."""

    layout: str
    images: int
    classes: Mapping[str, Counts]  # label -> side of the split -> images
    splits: Counts
    groups: int
    largest_group: int  # images
    hints: Sequence[str]
    exact_copies: int
    burst_pairs: int
    perceptual_pairs: int
    straddling_pairs: int  # of them, with images on two sides of the split
    look_alike_pairs: int  # near hashes, other detail
    straddling_look_alikes: int
    quarantined: Sequence[LeftOut]
    dropped: Sequence[LeftOut]
    ignored: Sequence[LeftOut]
    unread: Sequence[LeftOut] = ()  # may show something, and cannot be read
    problems: Sequence[ToldProblem] = ()  # beside the quarantined files
    copy_pairs: int = 0  # made from one another offline, by their names or by their pictures
    straddling_copies: int = 0  # of them, with images on two sides of the split
    contradictions: Sequence[str] = ()  # pairs of look-alikes under two labels that are not sure enough to be left out
    proposals: Sequence[str] = ()  # ways to group by asset, visit or camera that names and EXIF show
    shortcuts: Sequence[Shortcut] = ()


# Stage 2, captions


class CaptionRecord(JsonObject):
    """The caption of one training image, which has the same id."""

    id: str
    label: str
    prefix: str  # what the captioner was given
    caption: str  # begins with the prefix


# Stage 3, prompts


class RefinedCaption(JsonObject):
    """What became of one caption, which has the same id."""

    id: str
    context: str  # id of the caption whose context went in
    prompts: Sequence[str]
    tokens: Sequence[int]  # of each prompt
    drawn: int  # continuations
    rejected: Counts  # reason -> continuations
    kept_itself: bool  # no continuation passed


class PromptRecord(JsonObject):
    """One prompt that was refined from a caption."""

    id: str
    source: str  # id of the caption
    label: str
    caption: str
    context: str  # id of the caption whose context went in
    prompt: str
    tokens: int
    drawn: int  # continuations of the caption
    kept: int  # of them


class PromptSummary(JsonObject):
    """How many prompts were drawn, and how many were kept."""

    captions: int
    prompts: int
    drawn: int  # continuations
    class_kept_when_drawn: float | None  # share of the continuations that name their class and no other
    class_kept: float | None  # the same of the prompts
    rejected: Counts  # reason -> continuations
    kept_themselves: int  # captions


# Stage 4, adapter


class Memorisation(JsonObject):
    """How near painted images come to training images, by cosine distance, beside validation images."""

    median_nearest_painted: float
    median_nearest_validation: float
    nearer_than_any_validation_image: int  # images
    painted: int  # images


class AdapterRecord(JsonObject):
    """One evaluation of the adapter in training."""

    id: str
    step: int
    distance: float  # kernel distance of painted to validation images
    memorisation: Memorisation


class AdapterSummary(JsonObject):
    """`path` and `sha256` of the adapter's folder are None where none is used."""

    path: str | None
    sha256: str | None
    best_step: int | None = None
    memorisation: Memorisation | None = None


# Stage 5, synthetic


class PlannedImage(JsonObject):
    """An image to generate. `id` is a digest of everything that decides its pixels."""

    id: str
    label: str
    method: str
    number: int  # of its class and method
    prompt_id: str | None
    caption: str | None
    prompt: str | None
    source: str  # id of the real image that the prompt or the inserted fault comes from
    host: str | None  # id of the real image that is edited, or takes the fault
    box: Box | None  # of the inserted fault in `source`
    negative_prompt: str
    seed: int
    steps: int
    guidance: float
    strength: float | None
    adapter: str | None  # its digest
    size: int  # pixels; 0: as the model likes
    boxes: Sequence[Box] = ()  # of the faults that are healed, in `source`


class GeneratedRecord(PlannedImage):
    """A generated image; or `blanked`, why there is none, and no path and digest."""

    place: Sequence[int] | None  # of the inserted fault in the image: x, y, width, height in pixels
    path: str | None  # relative to the run folder
    sha256: str | None
    blanked: str | None
    how: str = ""  # a healed image was made: cooled, inpainted by the generator, patched ...


class SyntheticSummary(JsonObject):
    """Which images the newest round of generation wanted."""

    round: int
    wanted: Mapping[str, Counts]  # method -> label -> images; those beside the quotas are not among them
    notes: Sequence[str] = ()  # what of the settings could not be done, and why


# Stage 6, curation


class PixelRecord(JsonObject):
    """What the pixels of one generated image say. Of a healed one only `change` is asked, of the box it changes least.

    Hashes are those of `perceptual_hash`, 16 hex digits; `spread` is the standard deviation of the brightness and
    `change` the largest change to what the image was made from, both in grey levels.
    """

    id: str
    hash: str = ""
    mirrored: str = ""  # of the mirror image
    spread: float | None = None
    change: float | None = None  # None where nothing was put into a host


class CurationRecord(JsonObject):
    """One generated image, kept or rejected for all of `reasons`."""

    id: str
    label: str
    method: str
    path: str | None
    kept: bool
    reasons: Sequence[str]
    scores: Mapping[str, float]


class ClassCurve(JsonObject):
    """Recall of one class by the number of its real images, and what follows from it."""

    images: Sequence[int]
    recall: Sequence[float | None]
    now: int  # images
    says: str  # enough, photograph, more than, too few
    photograph: int | None  # further images


class LearningCurve(JsonObject):
    """Recall by how many of the real images a classifier learns from."""

    recall_target: float
    shares: Sequence[float]  # of the images of every class
    macro_recall: Sequence[float | None]
    classes: Mapping[str, ClassCurve]


class ContactSheet(JsonObject):
    """One page of small pictures that curation wrote."""

    label: str
    kind: str  # kept or rejected
    path: str
    images: int


class CurationSummary(JsonObject):
    """How many generated images were kept, and why the others were rejected."""

    kept: int
    kept_per_class: Counts
    rejected: Counts  # reason -> images
    missing: Counts  # label -> images
    validation_recall: Recalls  # after learning from real and kept images
    learning_curve: LearningCurve | None = None
    sheets: Sequence[ContactSheet] = ()


# Stage 7, training


class TrainedArm(JsonObject):
    """One training of an arm."""

    id: str  # arm/seed-n
    arm: str
    seed: int
    dropped: Sequence[str] = ()  # labels whose generated images the gate kept out


class TrainingResult(JsonObject):
    """What the card of a checkpoint says of the training that wrote it; the fields are those of TrainingRecord."""

    sha256: str
    steps: int
    best_step: int
    validation: Mapping[str, float]
    processes: int | None = None  # that shared the training; it decides which random views there are


class TrainingRecord(TrainedArm):
    """One finished training: its checkpoint and how it went."""

    path: str  # of the checkpoint, relative to the run folder
    sha256: str  # of its weights
    steps: int
    best_step: int
    validation: Mapping[str, float]  # metric -> value
    images: Mapping[str, Counts]  # real, synthetic -> label -> images
    processes: int | None = None  # that shared the training, where it was more than one


class AheadRecord(JsonObject):
    """A worker is done with a training; how it went stands in its folder."""

    id: str  # arm/seed-n


class Evaluation(JsonObject):
    """One entry of a training's history.json."""

    step: int
    training_loss: float
    validation: Mapping[str, float]  # metric -> value


class TrainingSummary(JsonObject):
    """What all trainings share: labels and the network's input."""

    labels: Sequence[str]
    fault_labels: Sequence[str]
    input: PlainJson  # the PreprocessSpec
    head: PlainJson | None = None  # the spatial head; without one, the class head
    notes: Mapping[str, str] | None = None  # arm -> a predicate: why it is left out, or learns from less


# Stage 8, comparison


class ComparisonRecord(JsonObject):
    """One test image and the label that each training gave it."""

    id: str
    label: str
    group: str
    predicted: Mapping[str, str]  # id of the training -> label


class Interval(JsonObject):
    """A value and the range that the data leave it, at the confidence of the call that made it."""

    value: float
    low: float
    high: float


class Measured(Interval):
    """The mean of a metric over an arm's trainings."""

    std: float | None  # between the trainings
    per_seed: Sequence[float]


class ReliabilityBin(JsonObject):
    """Images whose probability falls into one of ten ranges, and how often they were right."""

    confidence: float
    accuracy: float
    images: int


class Reliability(JsonObject):
    """How often the likeliest label is right, by its probability; `ece` is the expected calibration error."""

    ece: float
    bins: Sequence[ReliabilityBin]


class RecallAt(JsonObject):
    """The share of a fault's test images that are flagged where so many healthy held-out training images are not.

    The threshold is taken from held-out training images alone, so the test images reach another specificity.
    """

    specificity: float  # of the held-out training images
    reached: Interval  # specificity on the test images
    recall: Interval


class SizedRecall(JsonObject):
    """Recall of the faults whose box has a shorter side of `low` to `high` pixels of the network's input."""

    low: float
    high: float
    images: int
    recall: Interval | None


class FaultSpots(JsonObject):
    """Whether one arm sees a fault: how well its score tells it from healthy images, and what the score rests on.

    What needs boxes is None where no test image of the fault has one. "Found" is what the first of `recall_common`
    flags. Painted images have their boxes painted over, the control an equal area elsewhere.
    """

    images: int
    boxed: int  # of them, with a box
    auc: Interval  # against the healthy images of the same equipment
    recall_at: Sequence[RecallAt]  # by the healthy images of the same equipment
    recall_common: Sequence[RecallAt]  # by all healthy images
    pointing: Interval | None = None  # share of the boxed images whose map peaks in a box, or within 10 pixels of one
    pointing_found: Interval | None = None  # the same, of those that are found
    boxed_auc: Interval | None = None  # of the boxed images alone
    painted_auc: Interval | None = None  # of the boxed images once painted
    gap: Interval | None = None  # boxed_auc - painted_auc
    twin: Interval | None = None  # AUC of boxed images against their own painted copies
    keep: Interval | None = None  # share of the found images that are still found once painted
    control_keep: Interval | None = None  # the same for the control
    by_size: Sequence[SizedRecall] = ()
    supported: bool  # whether the gap's interval lies above 0
    why: str


class SmallestFault(JsonObject):
    """The smallest size of fault that is seen, measured on held-out training images; see evaluation.spot_measures."""

    pixels: float  # shorter side of the box, in pixels of the network's input
    share: float  # of the shorter side of the frame
    recall: float  # of faults of about this size
    recall_bound: float  # at least this
    images: int
    cell: float  # pixels of the network's input for one cell of the map


class Spots(JsonObject):
    """Whether an arm sees the faults at their own scale; `smallest_fault` is None where none is shown to be seen."""

    faults: Mapping[str, FaultSpots]  # by fault label, those that the test set holds
    smallest_fault: SmallestFault | None = None


class SpotChange(JsonObject):
    """What an arm gained over the baseline for one fault; `gap` is None where there is no box."""

    auc: Interval
    gap: Interval | None = None


class ArmResult(JsonObject):
    """One arm on the test set."""

    seeds: int
    metrics: Mapping[str, Measured]
    recall: Mapping[str, Interval | None]  # by label; None where the test set has no image of it
    reliability: Reliability
    confusion: Sequence[Sequence[int]]  # of all seeds together: rows truth, columns prediction
    spots: Spots | None = None  # only where an arm has a spatial head


class McNemar(JsonObject):
    """McNemar's paired test of one arm against the baseline."""

    only_baseline_right: int  # images
    only_arm_right: int  # images
    p: float
    p_holm: float  # by Holm's method for all arms together


class Difference(JsonObject):
    """An arm minus the baseline on the same resamples."""

    metrics: Mapping[str, Interval]
    recall: Mapping[str, Interval | None]
    harmed: Sequence[str]  # labels that lost recall beyond their interval
    mcnemar: McNemar
    verdict: str
    spots: Mapping[str, SpotChange] | None = None  # by fault label
    lost_support: Sequence[str] = ()  # fault labels that the baseline's score rests on, and this arm's does not


class ImageCounts(JsonObject):
    """Numbers of images, and of groups that they belong to."""

    images: int
    groups: int


class HeldOutCounts(ImageCounts):
    """Numbers of the images of a held-out split, whole and by class."""

    per_class: Mapping[str, ImageCounts]


class Suspect(JsonObject):
    """A picture to look at again, because a classifier that has not learnt from it contradicts its label or boxes."""

    id: str
    split: str
    label: str
    doubt: str  # label, or box: the map of a picture that is taken for faulty peaks outside every box
    likelier: str  # the label that is thought likelier; the own one where a box is doubted
    own: float  # probability of the own label
    other: float  # probability of the likelier one
    place: Sequence[float] | None = None  # x, y where the map peaks, in pixels of the picture


class Mending(JsonObject):
    """RUN/comparison/mending.json: which pictures to look at again, those of each doubt with the worst first."""

    suspects: Sequence[Suspect]
    sheet: str | None  # path of the contact sheet, relative to the run folder
    maps: str | None = None  # path of a sheet of test pictures with map and boxes


class Floor(JsonObject):
    """What a linear classifier on ready-made features reaches on the test images; shares of 0 to 1."""

    embedder: str  # whose features they are
    accuracy: float
    macro_f1: float


class ComparisonSummary(JsonObject):
    """The verdict, and everything that it rests on."""

    baseline: str
    candidate: str
    metric: str
    confidence: float
    resamples: int
    labels: Sequence[str]
    fault_labels: Sequence[str]
    test: HeldOutCounts
    arms: Mapping[str, ArmResult]
    differences: Mapping[str, Difference]  # by arm, all but the baseline
    verdict: str
    gate: Mapping[str, Sequence[str]] | None = None  # arm -> labels whose generated images its gate kept out
    why: str = ""  # what the comparison that the settings ask for lacks
    floor: Floor | None = None


# Stage 9, export


class ExportRecord(JsonObject):
    """One packed precision: its file, and what the acceptance test measured."""

    id: str
    agreement: float  # share of the test images with the network's likeliest label


class Threshold(JsonObject):
    """The threshold of one fault label and what it does on the validation images; see export.calibration."""

    threshold: float
    positives: int
    needed: int
    fitted: bool
    f1: float | None
    recall: float | None
    recall_bound: float
    false_alarms: float | None
    false_alarms_bound: float


class ExportSummary(JsonObject):
    """The packed training, its decision rule, and the precisions that were refused."""

    training: str  # id of the packed training
    decision: PlainJson
    thresholds: Mapping[str, Threshold] | None = None  # by fault label
    network: PlainJson  # its accuracy on the test set
    refused: Mapping[str, str]  # precision -> why

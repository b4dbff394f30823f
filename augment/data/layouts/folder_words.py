"""What the names of folders look like: sides of a split, dates, places, containers, files of labels. Pure.

A name alone proves little, so nothing here decides; `folder_levels` reads them together and stops where they disagree.
"""

import re
import unicodedata
from collections.abc import Collection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split(" "))


_SIDE_WORDS = {
    ("train",): "train training trn entrenamiento entrainement apprentissage addestramento treino treinamento "
    "trening обучение обучающая 训练 訓練 学習 学习",
    ("val",): "val valid validation validate validating vali dev validierung validacion validazione validacao "
    "валидация проверка 验证 驗證 検証",
    ("test",): "test testing tests tst testen holdout heldout prueba pruebas evaluation eval teste testes essai "
    "тест тестовая 测试 測試 テスト",
    ("train", "val"): "trainval trainvalid trainvalidation",
}
_SIDES = {word: sides for sides, words in _SIDE_WORDS.items() for word in _words(words)}
_AROUND_A_SIDE = (
    r"(?:images?|imgs?|pics?|pictures?|photos?|data|datasets?|daten|sets?|splits?|samples?|bilder|集|[数數]据集?)"
)
_SIDE = re.compile(rf"(?:{_AROUND_A_SIDE}[\W_]*)?({'|'.join(_SIDES)})(?:[\W_]*{_AROUND_A_SIDE})?[\W_]*(?:\d{{1,4}})?")
_FOLD = re.compile(r"(?:k?folds?|splits?|cv|subsets?|partitions?)[\W_]*\d+")
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0[1-9]|1[0-2])"
_YEAR = r"(?:19|20)\d\d"
_MONTH_NAMES = (
    "jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez|ene|fev|abr|ago|set|out|dic|gen|mag|giu|lug|ott|"
    "янв|фев|март|апр|маи|июн|июл|авг|сент|окт|нояб|дек"
)
_DATE = re.compile(
    rf"(?:[a-z]+[\W_]+)?(?:{_YEAR}([-_. ]?){_MONTH}(?:\1{_DAY})?(?:[t_\W].*)?"
    rf"|{_DAY}([-_. ]?){_MONTH}\2{_YEAR}(?:[\W_].*)?|\d?\d([-_. ])\d?\d\3(?:{_YEAR}|\d\d)"
    rf"|{_YEAR}[-_. ]?(?:w|kw|q)\d+|(?:{_MONTH_NAMES})[^\W\d_]*[\W_]*{_YEAR}|{_YEAR}[\W_]*(?:{_MONTH_NAMES})[^\W\d_]*)"
)
_ONLY_YEAR = re.compile(_YEAR)
_CAMERA_FOLDER = re.compile(r"\d{3}[a-z_]{3}[a-z0-9_]{2}|dcim")  # the names that cameras give, such as 100CANON
_NUMBERED = re.compile(r"(.*?)(?:[\W_]*\d+|[\W_]+[a-z])")
_PLACES = _words(
    "site station substation plant location loc place area zone field bay standort anlage werk feld ort "
    "umspannwerk uw sub visit inspection tour rundgang begehung day tag week woche session flight flug mission "
    "drone drohne cam camera kamera sensor device asset unit mast tower pole pylon turbine wtg park farm batch "
    "part set folder group upload export card customer client kunde inspector user team shift feeder building room "
    "hall halle region block row"
)
CONTAINERS = _words(
    "images image imgs img pictures pics photos photo jpegimages data dataset datasets bilder fotos dcim "
    "raw_images all all_images imagefolder fotografias immagini imagenes imagens фото изображения 图片 图像 画像"
)
ANNOTATIONS = _words(
    "labels label annotations annotation masks mask segmentationclass segmentationobject ground_truth groundtruth "
    "gt imagesets labels_yolo bboxes boxes xml json"
)


def plain(name: str) -> str:
    """Return the name in small letters, without accents and outer blanks, for comparison with words."""
    letters = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def side_of(name: str) -> tuple[str, ...] | None:
    """Return the sides of the split that a folder of this name means; None where it means none."""
    match = _SIDE.fullmatch(plain(name))
    return _SIDES[match[1]] if match else None


def is_fold(name: str) -> bool:
    """Whether the name is that of one of several parts, such as split_1."""
    return _FOLD.fullmatch(plain(name)) is not None


def are_dates(names: Collection[str]) -> bool:
    """Whether all of the names are dates, or years."""
    return all(_DATE.fullmatch(plain(name)) or _ONLY_YEAR.fullmatch(plain(name)) for name in names)


def has_date(names: Collection[str]) -> bool:
    """Whether any of the names is a date with a month."""
    return any(_DATE.fullmatch(plain(name)) for name in names)


def are_places(names: Collection[str]) -> bool:
    """Whether the names number places, cameras, visits or batches: site_a and site_b, cam1 and cam2."""
    stems = {match[1].strip(" _-.#") if (match := _NUMBERED.fullmatch(plain(name))) else "" for name in names}
    return stems <= _PLACES


def are_instances(names: Collection[str]) -> bool:
    """Whether the names only tell instances apart: numbers, one stem with numbers, dates, or cameras' own folders."""
    if are_dates(names) or are_places(names) or all(_CAMERA_FOLDER.fullmatch(plain(name)) for name in names):
        return True
    return len({match[1] if (match := _NUMBERED.fullmatch(plain(name))) else name for name in names}) == 1 < len(names)


def is_container(name: str) -> bool:
    """Whether the name says only that pictures lie in the folder."""
    return plain(name) in CONTAINERS


def is_annotation(name: str) -> bool:
    """Whether the name says that files about pictures lie in the folder, such as masks, rather than pictures."""
    return plain(name) in ANNOTATIONS

"""Tables: what is declared, what is refused with which sentence, and what becomes of a row."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from hpsearch.data import Named, Table, check_declaration, find, with_classes
from hpsearch.data.csvs import numbers, read_csv
from hpsearch.data.encoding import fit_encoding
from hpsearch.data.loading import load_search_data, load_test_part, table_width
from hpsearch.data.sample import sample
from hpsearch.data.table_pool import table_pool
from hpsearch.declare import source
from hpsearch.errors import DataError, SpaceError

FLATS = Table("flats.csv", label="rent", cuts=(500, 900), numeric=("rooms", "area"), categorical=("district",))
DISTRICTS = ("north", "south", "east", "harbour")


def flats(path, count=60, rows=()):
    """A table of flats whose rent follows rooms and area; ``rows`` replaces the first ones."""
    lines = ["rooms,area,district,rent"]
    for number in range(count):
        rooms, area = number % 5 + 1, 20 + (number * 37) % 100
        lines.append(f"{rooms},{area},{DISTRICTS[number % 3]},{rooms * 100 + area * 5}")
    lines[1 : 1 + len(rows)] = rows
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(data, folder, load=load_search_data):
    """The sentence with which a table is refused."""
    with pytest.raises(DataError) as caught:
        load(data, data_dir=folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestDeclaration:
    def test_it_prints_as_the_source_that_makes_it(self):
        data = replace(FLATS, images={"front": "photo"}, size=32, group="house", missing=["NA"])
        assert eval(source(data), {"Table": Table}) == data

    def test_its_inputs_are_known_and_the_width_of_the_table_is_left_to_the_file(self):
        data = replace(FLATS, images={"front": "photo"}, size=(24, 32), channels=1)
        assert data.inputs == {"front": (24, 32, 1), "table": (None,)}
        assert Table("x.csv", label="y", amount=True, images=("a", "b"), size=8).inputs == {
            "a": (8, 8, 3),
            "b": (8, 8, 3),
        }
        assert Named("breast_cancer").inputs == {"table": (30,)}

    def test_cuts_name_classes_and_amounts_have_none(self):
        assert replace(FLATS, cuts=(385_000, 630_000.0)).class_names == (
            "under 385,000",
            "385,000 to under 630,000",
            "630,000 or more",
        )
        assert replace(FLATS, classes=("low", "middle", "high")).class_names == ("low", "middle", "high")
        assert replace(FLATS, cuts=None, amount=True).class_names == ()

    @pytest.mark.parametrize(
        ("options", "address", "sentence"),
        [
            ({"amount": True}, "data.cuts", "got cuts for an amount; drop amount=True"),
            ({"cuts": (900, 500)}, "data.cuts", "write them ascending, each once"),
            ({"classes": ("a", "b")}, "data.classes", "2 cuts make 3 classes"),
            ({"classes": ("a", "b", "a")}, "data.classes", "got 'a' more than once"),
            ({"numeric": (), "categorical": ()}, "data.numeric", "no column to tell the label from"),
            ({"numeric": ("rent",)}, "data.label", "the column 'rent' twice"),
            ({"categorical": ("rooms",)}, "data.numeric", "the column 'rooms' twice"),
            ({"images": ("photo",)}, "data.size", "write size=64"),
            ({"size": 32}, "data.size", "name their columns with images="),
            ({"folder": "photos"}, "data.folder", "name their columns with images="),
            ({"images": ("photo", "photo"), "size": 8}, "data.images", "name each column once"),
            ({"images": {"table": "photo"}, "size": 8}, "data.images", "the input name 'table', which is taken"),
            ({"images": {"rooms": "photo"}, "size": 8}, "data.images", "the input name 'rooms', which is taken"),
            ({"images": 3, "size": 8}, "data.images", "got 3; allowed: columns of file names"),
            ({"rare": 0}, "data.rare", "a whole number of 1 or more"),
            ({"numeric": "rooms"}, "data.numeric", "a list of any number, each a text"),
            ({"test": 1.0}, "data.test", "below 1"),
        ],
    )
    def test_what_cannot_be_is_refused_before_any_file_is_there(self, options, address, sentence):
        with pytest.raises(SpaceError, match=re.escape(sentence)) as caught:
            check_declaration(replace(FLATS, **options))
        assert caught.value.address == address

    def test_it_is_found_in_the_data_directory_with_its_folder_of_photos(self, tmp_path):
        path = flats(tmp_path / "flats.csv")
        assert find(FLATS, data_dir=tmp_path).path == path
        photos = replace(FLATS, images=("photo",), size=8, folder="photos")
        assert find(photos, data_dir=tmp_path).hint == f"Put the photo folder photos into {tmp_path}."
        assert "Put lost.csv into a folder" in find(replace(FLATS, file="lost.csv"), data_dir=tmp_path).hint

    def test_classes_that_are_left_out_are_those_of_the_file(self, tmp_path):
        flats(tmp_path / "flats.csv")
        data = Table("flats.csv", label="district", numeric=("rooms",))
        assert with_classes(data, data_dir=tmp_path).class_names == ("east", "north", "south")
        data = Table("flats.csv", label="rooms", numeric=("area",))
        assert with_classes(data, data_dir=tmp_path).class_names == ("1", "2", "3", "4", "5")

    def test_one_number_is_one_class_however_it_is_spelt(self, tmp_path):
        (tmp_path / "spelt.csv").write_text("a,b\n" + "1,0\n2,0.0\n3,1\n4,01.0\n" * 5)
        data = with_classes(Table("spelt.csv", label="b", numeric=("a",)), data_dir=tmp_path)
        assert data.class_names == ("0", "1")
        assert table_pool(data, tmp_path / "spelt.csv").labels[:4].tolist() == [0, 0, 1, 1]
        (tmp_path / "one.csv").write_text("a,b\n1,0\n2,0.0\n")
        with pytest.raises(DataError, match="holds one number only, 0"):
            with_classes(Table("one.csv", label="b", numeric=("a",)), data_dir=tmp_path)

    def test_many_numbers_are_taken_for_an_amount(self, tmp_path):
        flats(tmp_path / "flats.csv", 300)
        with pytest.raises(DataError, match="different numbers, which look like an amount; write amount=True"):
            with_classes(Table("flats.csv", label="rent", numeric=("rooms",)), data_dir=tmp_path)

    def test_only_what_is_missing_is_said_to_be(self, tmp_path):
        (tmp_path / "things.csv").write_text("photo,kind\na.png,x\nb.png,y\n")
        (tmp_path / "pics").mkdir()
        data = Table("things.csv", label="kind", images=("photo",), folder="picz", size=8)
        with pytest.raises(DataError) as caught:
            with_classes(data, data_dir=tmp_path)
        said = str(caught.value)
        assert said.startswith(f"folder= got 'picz', but there is no such folder beside {tmp_path / 'things.csv'};")
        assert said.endswith("Did you mean pics?")
        (tmp_path / "things.csv").unlink()
        with pytest.raises(DataError, match=r"The classes of things\.csv are not known, as it is not here"):
            with_classes(data, data_dir=tmp_path)

    def test_one_class_is_no_classifier(self, tmp_path):
        (tmp_path / "flats.csv").write_text("a,b\n1,x\n2,x\n")
        with pytest.raises(DataError, match="holds one class only, 'x'"):
            with_classes(Table("flats.csv", label="b", numeric=("a",)), data_dir=tmp_path)


class TestFile:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("", "is empty; its first line must name the columns"),
            ("rooms,area,district,rent\n", "has no rows under its first line"),
            ("rooms,area,distric,rent\n1,2,a,3\n", "has no column 'district'. Did you mean distric?"),
            ("rooms,area,district,rent,area\n1,2,a,3,4\n", "line 1: the column 'area' is there twice"),
            ("rooms,area,district,rent\n1,2,a,3\n\n1,2,a\n", "line 4: got 3 cells, but the first line names 4 columns"),
            ('rooms,area,district,rent\n1,2,"a\nb",3\n1,x,c,3\n', "line 4, column 'area': got 'x', which is no number"),
            ('rooms,area,district,rent\n1,2,"a,3\n', "it cannot be read as CSV"),
            (
                "rooms,area,district,rent\n1,nan,a,3\n",
                "line 2, column 'area': got 'nan', which is no number; leave",
            ),
            ("rooms,area,district,rent\n1,-inf,a,3\n", "line 2, column 'area': got '-inf', which is no number"),
            ("rooms,area,district,rent\n1,1e300,a,3\n", "got '1e300'; its size is limited to 1e+18"),
            ("rooms,area,district,rent\n1,NA,a,3\n", "or declare missing=('NA',)"),
            ("rooms;area;district;rent\n1;2,5;a;3\n", "got '2,5', which is no number; write numbers with a point"),
            ("rooms,area,district,rent\n1,big,a,3\n", "a column of texts belongs into categorical="),
            ("rooms,area,district,rent\n1,2,a,\n", "line 2, column 'rent': got nothing; fill it in"),
            ("rooms,area,district,rent\n1,2,a,dear\n", "line 2, column 'rent': got 'dear', which is no number"),
            ("rooms,area,district,rent\n1,2,a,100\n", "flats.csv, column 'rent': the class"),
        ],
    )
    def test_what_is_wrong_is_one_sentence_that_says_where(self, tmp_path, content, sentence):
        (tmp_path / "flats.csv").write_text(content)
        said = refused(FLATS, tmp_path)
        assert sentence in said

    def test_a_class_that_was_not_declared_is_named_with_its_line(self, tmp_path):
        flats(tmp_path / "flats.csv", rows=["1,2,nort,3"])
        data = Table("flats.csv", label="district", classes=("north", "south", "east"), numeric=("rooms",))
        assert "line 2, column 'district': got 'nort', which is no declared class. Did you mean north" in refused(
            data, tmp_path
        )

    def test_what_is_no_text_is_refused(self, tmp_path):
        (tmp_path / "flats.csv").write_bytes("rooms,area,district,rent\n1,2,ä,3\n".encode("utf-16"))
        assert "is not text in UTF-8" in refused(FLATS, tmp_path)

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_separators_byte_order_marks_and_spaces_make_no_difference(self, tmp_path, separator, mark):
        text = flats(tmp_path / "plain.csv").read_text()
        (tmp_path / "other.csv").write_text(mark + text.replace(",", f" {separator} "), encoding="utf-8")
        plain, other = (
            load_search_data(replace(FLATS, file=name), data_dir=tmp_path) for name in ("plain.csv", "other.csv")
        )
        assert other.fingerprint == plain.fingerprint

    def test_empty_cells_and_declared_texts_are_missing(self, tmp_path):
        (tmp_path / "x.csv").write_text("a,b\n1,x\n,y\nNA,z\n2.5e1,\n")
        sheet = read_csv(tmp_path / "x.csv", ("a", "b"))
        found = numbers(sheet, "a", ("NA",))
        assert [value for value in found if not math.isnan(value)] == [1.0, 25.0]
        assert math.isnan(found[1])
        assert math.isnan(found[2])


COLUMNS = {
    "a": np.array([[1], [3], [np.nan], [5]], dtype=np.float32),
    "always": np.array([[7], [7], [7], [7]], dtype=np.float32),
    "kind": np.array([["x"], ["x"], [""], ["once"]]),
}


class TestEncoding:
    def test_numbers_are_scaled_and_what_is_missing_is_the_mean(self):
        encoding = fit_encoding(COLUMNS, ("a", "always"), ("kind",), rare=2)
        assert encoding.names == ("a", "always", "a is missing", "kind=other", "kind=missing", "kind=x")
        found = encoding.encoded(COLUMNS)
        assert found.dtype == np.float32
        assert found[:, 0] == pytest.approx([-math.sqrt(1.5), 0, 0, math.sqrt(1.5)])
        assert found[:, 1].tolist() == [0, 0, 0, 0]
        assert found[:, 2].tolist() == [0, 0, 1, 0]
        assert found[:, 3:].tolist() == [[0, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]

    def test_what_was_never_seen_and_what_never_varied_stay_small(self):
        encoding = fit_encoding(COLUMNS, ("a", "always"), ("kind",), rare=1)
        new = {"a": np.array([[3.0]]), "always": np.array([[8.0]]), "kind": np.array([["new"]])}
        assert encoding.encoded(new).tolist() == [[0, 1, 0, 1, 0, 0, 0]]

    def test_means_are_those_of_keras(self):
        import keras

        values = np.random.default_rng(0).normal(50, 9, (40, 1)).astype(np.float32)
        encoding = fit_encoding({"a": values}, ("a",), (), rare=1)
        layer = keras.layers.Normalization()
        layer.adapt(values)
        assert encoding.encoded({"a": values}) == pytest.approx(np.asarray(layer(values)), abs=1e-5)

    def test_a_column_without_a_number_is_refused(self):
        with pytest.raises(DataError, match="'a' is empty on every row that is trained on"):
            fit_encoding({"a": np.array([[np.nan]])}, ("a",), (), rare=1)

    def test_only_the_training_rows_decide(self, tmp_path):
        """Another value in a row that is not trained on changes nothing of the encoding."""
        flats(tmp_path / "flats.csv")
        first = load_search_data(FLATS, data_dir=tmp_path)
        assert first.encoding.width == first.train.inputs["table"].shape[1] == table_width(FLATS, data_dir=tmp_path)
        together = [*first.train.columns["area"][:, 0]]
        assert first.encoding.means[1] == pytest.approx(np.mean(together))
        assert first.encoding.categories["district"] == ("east", "north", "south")
        for part in (first.validation, load_test_part(FLATS, data_dir=tmp_path)):
            assert part.columns["area"].shape == (len(part), 1)


class TestSample:
    def test_every_photo_that_is_named_must_be_there_and_those_of_a_few_rows_are_opened(self, tmp_path, photos):
        folder = photos(tmp_path / "photos", 10)
        names = sorted(f"{path.parent.name}/{path.name}" for path in folder.glob("*/*.png"))
        rows = [f"{name},{name.partition('/')[0]}" for name in names]
        (tmp_path / "things.csv").write_text("\n".join(["photo,kind", *rows, ""]))
        data = Table("things.csv", label="kind", images=("photo",), folder="photos", size=8)
        assert vars(sample(data, data_dir=tmp_path)) == {
            "rows": 20,
            "of": "rows",
            "classes": 2,
            "photos": 20,
            "opened": 8,
        }
        (folder / names[3]).unlink()
        missing = f"{tmp_path / 'things.csv'}, line 5, column 'photo': There is no image {folder / names[3]}; "
        assert refused(data, tmp_path, sample).startswith(missing)
        (folder / names[7]).unlink()
        assert refused(data, tmp_path, sample).startswith(f"2 of 20 photos are not there; the first: {missing}")

    def test_a_table_without_photos_is_counted(self, tmp_path):
        flats(tmp_path / "flats.csv")
        seen = sample(replace(FLATS, cuts=None, amount=True), data_dir=tmp_path)
        assert (seen.rows, seen.classes, seen.photos, seen.opened) == (60, 0, 0, 0)


class TestParts:
    def test_train_and_validation_are_encoded_and_the_test_part_is_raw(self, tmp_path):
        flats(tmp_path / "flats.csv")
        data = load_search_data(FLATS, data_dir=tmp_path)
        test = load_test_part(FLATS, data_dir=tmp_path)
        assert data.features == {"table": (7,)}
        assert list(test.inputs) == []
        assert list(test.columns) == ["rooms", "area", "district"]
        assert len(data.train) + len(data.validation) + len(test) == 60

    def test_amounts_are_kept_as_they_are_in_all_parts(self, tmp_path):
        flats(tmp_path / "flats.csv", 200)
        data = replace(FLATS, cuts=None, amount=True)
        found = load_search_data(data, data_dir=tmp_path)
        test = load_test_part(data, data_dir=tmp_path)
        assert found.class_names == ()
        everything = [part.labels for part in (found.train, found.validation, test)]
        assert all(labels.dtype == np.float32 for labels in everything)
        wanted = [(n % 5 + 1) * 100 + (20 + n * 37 % 100) * 5 for n in range(200)]
        assert sorted(np.concatenate(everything).tolist()) == sorted(map(float, wanted))
        for labels in everything:
            assert np.mean(labels) == pytest.approx(np.mean(wanted), rel=0.1)

    def test_cuts_put_the_cut_itself_into_the_upper_class(self, tmp_path):
        rows = [f"{n % 4},1,a,{rent}" for n, rent in enumerate([499.99, 500, 899, 900] * 10)]
        flats(tmp_path / "flats.csv", 40, rows)
        found = load_search_data(replace(FLATS, cuts=(500, 900)), data_dir=tmp_path)
        rooms = found.train.columns["rooms"][:, 0]
        assert [int(np.unique(found.train.labels[rooms == n])[0]) for n in range(4)] == [0, 1, 1, 2]

    def test_rows_that_are_sorted_or_added_move_hardly_any_other(self, tmp_path):
        text = flats(tmp_path / "flats.csv", 100).read_text().splitlines()
        first = load_test_part(FLATS, data_dir=tmp_path)
        (tmp_path / "flats.csv").write_text("\n".join([text[0], "3,77.5,west,700", *reversed(text[1:])]) + "\n")
        second = load_test_part(FLATS, data_dir=tmp_path)

        def rows(part):
            return set(zip(*(part.columns[name][:, 0].tolist() for name in part.columns), strict=True))

        assert len(rows(first) ^ rows(second)) <= 2

    def test_the_breast_cancer_table_needs_no_file(self):
        found = load_search_data(Named("breast_cancer"))
        assert found.features == {"table": (30,)}
        assert found.class_names == ("malignant", "benign")
        assert np.abs(found.train.inputs["table"].mean(axis=0)).max() < 1e-4
        assert len(found.train) + len(found.validation) + len(load_test_part(Named("breast_cancer"))) == 569

"""The picture of the report against the shapes: boxes, levels, skips, lines."""

from itertools import combinations, pairwise

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import DOCUMENTS, table_of

import audit
import unetzoo
from audit.html_report import report
from audit.html_report.drawing import arithmetic
from audit.html_report.drawing.graph import graph_of
from audit.html_report.drawing.layout import CHAR, FULL, HALF, PAGE, extent, layout
from audit.tables import Row, Table

PLAIN = [*unetzoo.list_models("unet?d_*"), "plain_unet", "residual_unet", "vnet"]


def graph(source):
    return graph_of(table_of(source) if isinstance(source, str) else audit.as_table(source))


def at_smallest(name):
    card = unetzoo.card(name)
    sizes = [card.sizes.smallest] * (len(card.input_shape) - 1)
    return graph(unetzoo.skeleton(name, input_shape=(*sizes, card.input_shape[-1])))


def names_of_skips(drawn):
    return {(drawn.boxes[w.source].row.name, drawn.boxes[w.target].row.name) for w in drawn.skips}


def check_skips(drawn):
    """A skip stays on its level, and arrives at its target's size."""
    for skip in drawn.skips:
        source, target = drawn.boxes[skip.source], drawn.boxes[skip.target]
        assert source.level == target.level
        assert target.spatial == skip.shape[1:-1]


def test_the_original_has_four_skips_and_its_crops():
    drawn = graph("unet2d_original")
    sums = [way.sums for way in drawn.skips]
    assert sums == [
        ("64 - 2 x 4 = 56",),
        ("136 - 2 x 16 = 104",),
        ("280 - 2 x 40 = 200",),
        ("568 - 2 x 88 = 392",),
    ]
    levels = [(drawn.boxes[w.source].level, drawn.boxes[w.target].level) for w in drawn.skips]
    assert levels == [(3, 3), (2, 2), (1, 1), (0, 0)]


def test_an_odd_size_is_padded_before_it_is_joined():
    ways = [way for box in graph("unet3d_90m").boxes for way in box.ways if way.sums]
    assert [(way.sums, way.skip) for way in ways] == [(("24 + 1 = 25",), False)]


def test_uneven_axes_have_a_sum_each():
    assert graph("unet3d_original").skips[0].sums == ("26 - 2 x 4 = 18", "22 - 2 x 4 = 14")


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from(["CropToMatch", "ZeroPadding2D"]))
def test_the_sums_are_right(before, after, kind):
    found = arithmetic.sums((None, before, 8, 3), Row("x", kind, (None, after, 8, 3)))
    assert len(found) == (before != after)
    for text in found:
        left, right = text.split(" = ")
        assert int(right) == after
        assert eval(left.replace("x", "*")) == after
        assert left.startswith(f"{before} ")


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_every_network_of_the_zoo_is_a_u(name, smallest):
    """Units, residual or V-Net's, are boxes of a U as convolutions are."""
    drawn = at_smallest(name) if smallest else graph(name)
    check_down_and_up(drawn)
    downs = sum(box.family == "down" for box in drawn.boxes)
    assert len(drawn.skips) == drawn.deepest == downs
    check_skips(drawn)
    for skip in drawn.skips:
        source, target = drawn.boxes[skip.source], drawn.boxes[skip.target]
        assert (drawn.side(source), drawn.side(target)) == ("encoder", "decoder")
        assert target.row.layer_class == "Concatenate"


def check_down_and_up(drawn):
    levels = [box.level for box in drawn.boxes]
    deepest = levels.index(drawn.deepest)
    assert levels[:deepest] == sorted(levels[:deepest])
    assert levels[deepest:] == sorted(levels[deepest:], reverse=True)
    assert levels[0] == levels[-1] == 0


@pytest.mark.parametrize("smallest", [False, True])
def test_the_attention_u_net_has_a_gate_on_three_of_four_skips(smallest):
    drawn = at_smallest("attention_unet") if smallest else graph("attention_unet")
    check_down_and_up(drawn)
    check_skips(drawn)
    gated = [(f"encoder{n}-conv2", f"gate{n}-1-multiply") for n in (2, 3, 4)]
    passed = [(f"gate{n}-combine-conv1", f"decoder{n}-concat") for n in (2, 3, 4)]
    assert names_of_skips(drawn) == {("encoder1-conv2", "decoder1-concat"), *gated, *passed}
    gates = [box for box in drawn.boxes if box.unit]
    assert [(box.times, box.beside, box.level) for box in gates] == [
        (2, True, 3), (2, True, 2), (2, True, 1),
    ]  # fmt: skip
    joined = [box for box in drawn.boxes if box.row.name in ("gate2-concat", "gate4-concat")]
    assert [len(box.ways) for box in joined] == [1, 1]
    below = [drawn.boxes[box.ways[1].source].row.name for box in gates]
    assert below == ["bottleneck-conv2", "decoder4-conv2", "decoder3-conv2"]


@pytest.mark.parametrize("smallest", [False, True])
def test_every_node_of_unet_plus_plus_stands_on_its_row(smallest):
    drawn = at_smallest("unet_plus_plus") if smallest else graph("unet_plus_plus")
    for box in drawn.boxes:
        if box.row.name.startswith(("node", "up")):
            assert box.level == int(box.row.name.split("-")[1])
    assert not any(box.unit or box.times > 1 for box in drawn.boxes)
    check_skips(drawn)
    assert names_of_skips(drawn) == {
        (f"node-{i}-{k}-conv2", f"node-{i}-{j}-concat")
        for j in range(1, 5)
        for i in range(5 - j)
        for k in range(j)
    }


@pytest.mark.parametrize("smallest", [False, True])
def test_transunet_has_three_skips_and_its_tokens_stand_below(smallest):
    drawn = at_smallest("transunet") if smallest else graph("transunet")
    check_down_and_up(drawn)
    check_skips(drawn)
    assert names_of_skips(drawn) == {
        ("root-conv", "decoder3-concat"),
        ("block1-unit3-add", "decoder2-concat"),
        ("block2-unit4-add", "decoder1-concat"),
    }
    tokens = [box for box in drawn.boxes if len(box.spatial) == 1]
    assert [(box.level, box.times) for box in tokens] == [(4, 1), (4, 12)]
    heights = {p.height for p in layout(drawn).places if p.box.level == 4}
    assert len(heights) == 1


@pytest.mark.parametrize(
    ("name", "counts"),
    [("residual_unet", (1, 3, 4, 6, 6, 6)), ("transunet", (0, 0, 3, 4, 9 + 12))],
)
def test_equal_units_are_counted(name, counts):
    units = [box for box in graph(name).boxes if box.unit]
    for level, count in enumerate(counts):
        assert sum(box.times for box in units if box.level == level) == count
    for box in units:
        kinds = [row.layer_class for row in box.rows]
        assert kinds == kinds[: len(kinds) // box.times] * box.times


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_each_row_stands_in_a_box_once(name):
    table = table_of(name)
    drawn = graph_of(table)
    rows = [row.name for box in drawn.boxes for row in box.rows]
    assert sorted(rows) == sorted(row.name for row in table)
    assert sum(row.total for box in drawn.boxes for row in box.rows) == table.total


@pytest.mark.parametrize("name", unetzoo.list_models())
@pytest.mark.parametrize("scales", [FULL, HALF])
def test_boxes_follow_sizes_and_channels_and_do_not_overlap(name, scales):
    drawn = graph(name)
    picture = layout(drawn, scales)
    if scales is FULL:
        assert picture.width <= PAGE
    places = picture.places
    check_rows(picture)
    check_lines(picture)
    for place in places:
        band = picture.bands[place.box.level]
        assert band.y <= place.y
        assert place.y + place.height <= band.y + band.height <= picture.height
        assert place.x > 0
        assert place.right <= picture.width
    by_size = sorted(places, key=lambda place: extent(place.box.spatial, drawn.axes))
    assert [p.height for p in by_size] == sorted(p.height for p in places)
    by_channels = sorted(places, key=lambda place: place.box.channels)
    assert [p.width for p in by_channels] == sorted(p.width for p in places)


def room(place):
    """From where to where a box and its labels reach."""
    half = max(place.width, CHAR * max(map(len, (place.above, *place.below)))) / 2
    return place.center - half, place.center + half


def check_rows(picture):
    """Boxes and labels of a level stand apart, and data runs to the right."""
    for level in range(picture.graph.deepest + 1):
        row = sorted((p for p in picture.places if p.box.level == level), key=lambda p: p.x)
        for left, right in pairwise(row):
            assert room(left)[1] < room(right)[0]
    for target in picture.places:
        assert all(picture.places[way.source].right < target.x for way in target.box.ways)


def check_lines(picture):
    """No line runs through a box, and those of different boxes not upon each other."""
    ways = [way for box in picture.graph.boxes for way in box.ways]
    for way in ways:
        source, target = picture.places[way.source], picture.places[way.target]
        others = [p for p in picture.places if p.box.level == source.box.level and p is not source]
        if source.box.level != target.box.level:
            assert not any(source.x < place.x <= target.center for place in others)
        elif (way.source, way.target) not in picture.lanes:
            assert not any(source.x < place.x < target.x for place in others)
    for one, two in combinations(
        (way for way in ways if (way.source, way.target) in picture.lanes), 2
    ):
        same = picture.graph.boxes[one.source].level == picture.graph.boxes[two.source].level
        if same and picture.lanes[one.source, one.target] == picture.lanes[two.source, two.target]:
            first, second = sorted((one, two), key=lambda way: picture.places[way.source].x)
            end = picture.places[first.target].x
            assert one.source == two.source or end < picture.places[second.source].right


def test_a_text_without_connections_is_drawn_in_its_order():
    drawn = graph(DOCUMENTS / "unet3d_90m.torchsummary.txt")
    assert not drawn.known
    assert drawn.skips == []
    assert [box.level for box in drawn.boxes if box.family in ("down", "up")] == [
        1, 2, 3, 4, 3, 2, 1, 0,
    ]  # fmt: skip


def test_sizes_that_halve_unevenly_take_one_level_each():
    rows = [Row("in", "Conv2D", (None, 25, 25, 4))]
    rows += [Row(f"p{n}", "MaxPooling2D", (None, n, n, 4)) for n in (12, 6, 3, 1)]
    rows += [Row(f"u{n}", "UpSampling2D", (None, n, n, 4)) for n in (2, 6, 12, 24)]
    assert [box.level for box in graph(Table("", tuple(rows))).boxes] == [0, 1, 2, 3, 4, 3, 2, 1, 0]


def test_a_stride_of_four_takes_two_levels():
    entry = keras.Input((230, 230, 3))
    x = keras.layers.Conv2D(8, 7, strides=4)(entry)
    x = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D()(x))
    assert [box.level for box in graph(keras.Model(entry, x)).boxes] == [0, 1, 2, 1]


def test_anisotropic_strides_take_a_level_each():
    strides = (1, (1, 2, 2), 2, (1, 1, 2))
    drawn = graph(
        unetzoo.skeleton(
            "plain_unet",
            input_shape=(20, 64, 48, 1),
            features=(4, 8, 8, 8),
            kernels=(3, 3, 3, 3),
            strides=strides,
        )
    )
    check_down_and_up(drawn)
    assert len(drawn.skips) == drawn.deepest == 3


@pytest.mark.parametrize("name", ["attention_unet", "unet_plus_plus"])
def test_no_line_runs_through_the_heads_of_deep_supervision(name):
    settings = {"deep_supervision": True, "upsampling": "linear", "input_shape": (53, 64, 1)}
    picture = layout(graph(unetzoo.skeleton(name, **settings)))
    check_rows(picture)
    check_lines(picture)


def conv(x, filters=8, kernel=3, **settings):
    return keras.layers.Conv2D(filters, kernel, padding="same", **settings)(x)


def drawn_of(build, shape=(32, 32, 4)):
    entry = keras.Input(shape)
    model = keras.Model(entry, build(entry))
    assert "<svg" in report(model)
    return graph(model)


def test_a_residual_unit_is_one_box_and_a_skip_around_a_level_is_a_skip():
    def build(x):
        x = keras.layers.Add()([conv(x), conv(x, kernel=1)])
        y = keras.layers.UpSampling2D()(conv(x, 16, strides=2))
        return conv(keras.layers.Concatenate()([x, y]))

    drawn = drawn_of(build)
    assert [(box.level, box.unit) for box in drawn.boxes] == [
        (0, False), (0, True), (1, False), (0, False), (0, False), (0, False),
    ]  # fmt: skip
    assert [(way.source, way.target) for way in drawn.skips] == [(1, 4)]
    assert len(drawn.boxes[1].rows) == 3


@pytest.mark.parametrize("supervised", [False, True])
def test_a_skip_that_is_added_is_no_unit(supervised):
    def build(x):
        x = conv(x)
        below = conv(x, strides=2)
        y = conv(keras.layers.Add()([x, keras.layers.UpSampling2D()(below)]))
        return [y, conv(below, 1)] if supervised else y

    drawn = drawn_of(build)
    assert not any(box.unit for box in drawn.boxes)
    assert [box.level for box in drawn.boxes if box.channels > 1] == [0, 0, 1, 0, 0, 0]
    skips = [(drawn.boxes[w.source].row.layer_class, w.source) for w in drawn.skips]
    assert skips == [("Conv2D", 1)]


def test_a_way_down_turns_before_the_boxes_beside_it():
    def build(x):
        x = conv(x)
        y = keras.layers.UpSampling2D()(conv(x, strides=2))
        return keras.layers.Concatenate()([conv(conv(conv(conv(x)))), y])

    picture = layout(drawn_of(build))
    check_rows(picture)
    check_lines(picture)


def test_only_equal_units_are_drawn_as_one():
    def build(x):
        x = conv(x)
        for dilation in (1, 1, 2, 2, 2):
            x = keras.layers.Add()([x, conv(x, dilation_rate=dilation)])
        return x

    assert [(box.unit, box.times) for box in drawn_of(build).boxes] == [
        (False, 1), (False, 1), (True, 2), (True, 3),
    ]  # fmt: skip


def test_a_unit_whose_inner_map_is_read_elsewhere_keeps_its_boxes():
    def build(x):
        x = conv(x)
        inner = conv(x)
        y = keras.layers.Add()([x, conv(inner)])
        return keras.layers.Concatenate()([y, inner])

    drawn = drawn_of(build)
    assert [box.row.layer_class for box in drawn.boxes] == [
        "InputLayer", "Conv2D", "Conv2D", "Conv2D", "Add", "Concatenate",
    ]  # fmt: skip
    assert drawn.skips == []
    assert layout(drawn).lanes.keys() == {(1, 4), (2, 5)}
    check_lines(layout(drawn))


def test_a_channels_gate_is_part_of_its_unit():
    def build(x):
        x = conv(x)
        y = conv(x)
        weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(y)
        weights = conv(weights, 8, 1, activation="sigmoid")
        return keras.layers.Add()([x, keras.layers.Multiply()([y, weights])])

    drawn = drawn_of(build)
    assert [len(box.rows) for box in drawn.boxes] == [1, 1, 5]


def test_equal_inputs_and_unequal_branches_are_not_drawn_as_one():
    first, second = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    x = keras.layers.Concatenate()([first, second])
    branches = [conv(x), conv(x), conv(x, dilation_rate=2)]
    drawn = graph(keras.Model([first, second], keras.layers.Concatenate()(branches)))
    assert [(box.row.layer_class, box.times) for box in drawn.boxes] == [
        ("InputLayer", 1), ("InputLayer", 1), ("Concatenate", 1), ("Conv2D", 2), ("Conv2D", 1),
        ("Concatenate", 1),
    ]  # fmt: skip

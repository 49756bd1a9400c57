package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** The guide's table of layers says what the code does, cell by cell, and leaves none out. */
class LayersGuideTest {

    private static final Pattern QUOTED = Pattern.compile("`([^`]+)`");
    private static final Pattern FILE_NAME = Pattern.compile("[a-z]+(?:\\.(\\w+))?\\.(lora_A\\.weight|lora_embedding_A)");
    /** What computes a layer, by whether there is a kernel for it. */
    private static final Map<String, Boolean> HAS_KERNEL = Map.of("effective weights", false, "low-rank convolution", true,
            "convolution with W + s·A·B", true, "low-rank lookup", true, "low-rank recurrence", true, "low-rank attention", true);

    /** What the table is compared with: each layer that can be adapted, by its simple name. */
    private static Map<String, StockMatrices> adaptable(Map<String, Layer> layers) {
        layers.put("DenseLayer", new DenseLayer.Builder().nIn(2).nOut(2).build());
        layers.put("OutputLayer", new OutputLayer.Builder(LossFunction.MSE).nIn(2).nOut(2).build());
        layers.put("RnnOutputLayer", new RnnOutputLayer.Builder(LossFunction.MSE).nIn(2).nOut(2).build());
        DeltaLayersTest.layers().forEach(arguments -> ((MultiLayerConfiguration) arguments.get()[3]).getConfs().stream()
                .map(NeuralNetConfiguration::getLayer).filter(layer -> layer.getLayerName().startsWith("lora"))
                .map(io.github.dl4jlora.internal.stock.StockLayers::innermost)
                .forEach(layer -> layers.put(layer.getClass().getSimpleName(), layer)));
        Map<String, StockMatrices> matrices = new HashMap<>();
        layers.forEach((name, layer) -> matrices.put(name, StockMatrices.of(layer)));
        matrices.put("AttentionVertex", StockMatrices.of(new AttentionVertex.Builder().nInKeys(4).nInQueries(4)
                .nInValues(4).nOut(4)
                .nHeads(2).projectInput(true).build()));
        return matrices;
    }

    @Test
    void everyCellOfTheTableIsTrue() throws IOException {
        Map<String, Layer> layers = new HashMap<>();
        Map<String, StockMatrices> expected = adaptable(layers);
        Set<String> described = new HashSet<>();
        Set<LayerType> types = EnumSet.noneOf(LayerType.class);
        LayerType type = null;
        for (List<String> row : table("| `LayerType` |")) {
            type = row.get(0).isBlank() ? type : LayerType.valueOf(quoted(row.get(0)).get(0));
            types.add(type);
            for (String name : quoted(row.get(1))) {
                StockMatrices matrices = expected.get(name);
                assertThat(matrices).as(name).isNotNull();
                assertThat(described.add(name)).as("%s is described once", name).isTrue();
                assertThat(matrices.type()).as(name).isEqualTo(type);
                if (!row.get(2).contains("…")) {
                    assertThat(quoted(row.get(2))).as("parameters of " + name)
                            .containsExactlyInAnyOrderElementsOf(matrices.forms().keySet());
                }
                assertThat(matrices.forms().keySet()).as("parameters of " + name).containsAll(quoted(row.get(2)));
                if (row.get(3).equals("low-rank path")) {
                    assertThat(matrices.forms()).as(name).isEqualTo(StockMatrices.DENSE.forms());
                } else {
                    assertThat(HAS_KERNEL).containsKey(row.get(3));
                    if (layers.containsKey(name)) {
                        assertThat(Kernels.exists(layers.get(name))).as(name).isEqualTo(HAS_KERNEL.get(row.get(3)));
                    }
                }
                Matcher file = FILE_NAME.matcher(quoted(row.get(4)).get(0));
                assertThat(file.matches()).as("%s of %s", row.get(4), name).isTrue();
                String key = matrices.forms().keySet().iterator().next();
                assertThat(matrices.module("x", file.group(1) == null ? key : file.group(1)))
                        .isEqualTo(file.group(1) == null ? "x" : "x." + file.group(1));
                assertThat(file.group(2).equals("lora_embedding_A")).as(name).isEqualTo(type == LayerType.EMBEDDING);
            }
        }
        assertThat(described).containsExactlyInAnyOrderElementsOf(expected.keySet());
        assertThat(types).isEqualTo(EnumSet.allOf(LayerType.class));
    }

    private static List<List<String>> table(String header) throws IOException {
        List<List<String>> rows = new ArrayList<>();
        boolean inside = false;
        for (String line : Files.readAllLines(Path.of("../docs/guide/layers.md"))) {
            if (line.startsWith(header)) {
                inside = true;
            } else if (inside && !line.startsWith("|")) {
                break;
            } else if (inside && !line.startsWith("| ---")) {
                rows.add(List.of(line.substring(1).split("\\|")).stream().map(String::strip).toList());
            }
        }
        assertThat(rows).isNotEmpty();
        return rows;
    }

    private static List<String> quoted(String cell) {
        return QUOTED.matcher(cell.replaceAll("\\(.*?\\)", "")).results().map(result -> result.group(1)).toList();
    }
}

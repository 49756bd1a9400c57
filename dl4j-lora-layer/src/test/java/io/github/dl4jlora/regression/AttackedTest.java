package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What a reviewer found who called things in an order, or with settings, that nobody had thought of. */
class AttackedTest {

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).updater(new Sgd(0.1));
    }

    /** A user's own, with the parts of plain LoRA and another function. */
    public static final class Own implements Variant {

        private static final long serialVersionUID = 1L;

        private final boolean additive;

        Own(boolean additive) {
            this.additive = additive;
        }

        @Override
        public String name() {
            return "own";
        }

        @Override
        public List<Parameter> parameters(long nIn, long nOut, int rank) {
            return new PlainLoRA().parameters(nIn, nOut, rank);
        }

        @Override
        public boolean isAdditive() {
            return additive;
        }
    }

    /** Reading refuses it, so that what was learned would be gone. */
    @ParameterizedTest(name = "additive {0}")
    @ValueSource(booleans = {true, false})
    void adapterOfAVariantThatFilesCannotNameIsNotSaved(boolean additive, @TempDir Path folder) {
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(Networks.trainedLayers(), config().variant(new Own(additive)).build()));

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.save(folder.resolve("adapter")))
                .withMessageContainingAll("\"own\"", "LoRA.save");
        assertThat(folder.resolve("adapter")).doesNotExist();
    }

    @Test
    void adapterOfAnotherVariantIsRefusedAlthoughItsPartsFit() {
        MultiLayerNetwork base = Networks.trainedLayers();
        MultiLayerNetwork own = LoRA.apply(base, config().variant(new Own(false)).build());
        MultiLayerNetwork plain = LoRA.apply(base, config().build());

        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.of(own).applyTo(plain))
                .withMessageContainingAll("\"fc1\"", "own", "LoRA");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.of(plain).applyTo(own))
                .withMessageContainingAll("\"fc1\"", "own", "LoRA");
    }

    /** Whether the base is at hand is this JVM's affair, and to find out hashes all of it. */
    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void configurationInJsonSaysNothingOfTheJvmThatWroteIt(Models.Kind kind) {
        String json = Models.topology(Models.apply(kind.base(), kind.config().targets("fc2").trainable("out").build()));

        assertThat(json).contains("\"frozen\"", "\"trainedInFull\"").doesNotContain("\"here\"").doesNotContain("\"additive\"");
    }

    @ParameterizedTest
    @ValueSource(strings = {"null", "{}", "{\"id\":null,\"signature\":\"FLOAT W[5,3] b[3]\"}", "{\"id\":\"0\"}"})
    void damagedRecordOfWhatTrainsInFullIsRefusedByName(String damaged) {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), config().targets("fc2").trainable("out").build());
        String json = Models.json(tuned)
                .replaceFirst("(?s)(\"trainedInFull\" : \\{\\s*\"out\" : )\\{.*?\\}", "$1" + damaged);

        assertThatThrownBy(() -> MultiLayerConfiguration.fromJson(json)).hasMessageContaining("damaged")
                .hasMessageNotContaining("Cannot invoke");
    }

    /** DL4J's own layers compute the pre-activation again, with what is there now. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void parametersSetBetweenTheTwoPassesCountInTheSecond(boolean whole) {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(DataType.DOUBLE, new Sgd(0.1)),
                config().targets("fc1").build());
        tuned.fit(Networks.data(DataType.DOUBLE, 3, 1));
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        Layer layer = tuned.getLayer("fc1");
        INDArray input = Networks.random(DataType.DOUBLE, 4, 3, Networks.IN);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 5, 3, Networks.HIDDEN);
        layer.activate(input, true, LayerWorkspaceMgr.noWorkspaces());

        if (whole) {
            layer.setParams(layer.params().mul(3));
        } else {
            layer.setParam("B", layer.getParam("B").mul(3));
        }

        INDArray kept = layer.backpropGradient(epsilon, LayerWorkspaceMgr.noWorkspaces()).getFirst().getGradientFor("B").dup();
        layer.setInput(input, LayerWorkspaceMgr.noWorkspaces());
        INDArray fresh = layer.backpropGradient(epsilon, LayerWorkspaceMgr.noWorkspaces()).getFirst().getGradientFor("B");
        assertThat(Networks.difference(kept, fresh)).isLessThan(1e-12);
    }

    /** PiSSA divides by the factor, so that a file may ask one layer alone for what it cannot have. */
    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterOfWhichOneLayerCannotBeTakenChangesNone(Models.Kind kind, @TempDir Path folder) throws IOException {
        Model base = kind.base();
        LoRAConfig config = kind.config().loraInit(LoRAInit.PISSA).build();
        Model source = Models.apply(base, config);
        Models.fitSteps(source, 0, 2);
        LoRAAdapter.of(source).save(folder);
        Path file = folder.resolve("adapter_config.json");
        Files.writeString(file, Files.readString(file)
                .replaceFirst("\"alpha_pattern\"\\s*:\\s*\\{\\s*\\}", "\"alpha_pattern\": {\"fc2\": -3}"));
        LoRAAdapter adapter = LoRAAdapter.load(folder);
        Model tuned = Models.apply(base, config);
        double[] before = Models.params(tuned);

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.applyTo(tuned)).withMessageContainingAll("\"fc2\"", "-");

        assertThat(Models.params(tuned)).containsExactly(before);
    }

    /** As DL4J's init does with copies of every other kind of adapted network; the vector is copied afterwards. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void networkWithAFrozenAIsInitialisedWithoutItsBase(boolean graph) {
        Model tuned = Models.apply(graph ? Networks.trainedGraph() : Networks.trainedLayers(),
                config().variant(new FrozenALoRA()).build());
        String elsewhere = Models.json(tuned).replaceAll("\"id\" : \"....", "\"id\" : \"0000");

        Model copy = graph ? Networks.of(ComputationGraphConfiguration.fromJson(elsewhere))
                : Networks.of(MultiLayerConfiguration.fromJson(elsewhere));

        assertThat(copy.numParams()).isEqualTo(tuned.numParams());
        assertThatThrownBy(() -> Models.outputs(copy)).isInstanceOf(FrozenWeightsMissingException.class);
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void closedBaseIsNotAdapted(Models.Kind kind) {
        Model base = kind.base();
        base.close();

        assertThatIllegalArgumentException().isThrownBy(() -> kind.adapt(base)).withMessageContainingAll("network was closed");
    }

    @ParameterizedTest
    @ValueSource(strings = {"targets", "exclude", "trainable", "override"})
    void patternOfNullSaysWhichSettingHasIt(String setting) {
        LoRAConfig.Builder builder = LoRAConfig.builder();

        assertThatThrownBy(() -> {
            switch (setting) {
                case "targets" -> builder.targets((String) null);
                case "exclude" -> builder.exclude((String) null);
                case "trainable" -> builder.trainable((String) null);
                default -> builder.override(null, o -> o.rank(2));
            }
        }).hasMessageContainingAll(setting, "null").hasMessageNotContaining("Cannot invoke");
    }

    /** The registry gave the first that was intact, here the base's own arrays, not the copy that was asked for. */
    @Test
    void restoredNetworkOfACopiedBaseStaysWhenTheBaseMoves(@TempDir Path folder) throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        MultiLayerNetwork onTheBase = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
        MultiLayerNetwork onACopy = LoRA.apply(base, LoRAConfig.builder().rank(2).copyBase(true).build());
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(onACopy, file, true);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(file, true);

        base.params().muli(2);

        assertThat(Models.outputs(restored)).containsExactly(Models.outputs(onACopy));
        assertThat(Models.outputs(onTheBase)).as("alive until here").isNotEqualTo(Models.outputs(onACopy));
    }
}

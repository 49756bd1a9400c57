package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.LongFunction;

import static io.github.dl4jlora.integration.OldBases.named;

/** All kinds of which a release writes files, by name. Words of a name say to {@link OldFilesTest} how the files are read. */
final class OldKinds {

    static final NormalizerStandardize NORMALIZER = new NormalizerStandardize(Nd4j.createFromArray(1f, 2f, 3f, 4f).reshape(1, 4),
            Nd4j.createFromArray(4f, 3f, 2f, 1f).reshape(1, 4));

    private static final INDArray ROWS = Networks.random(DataType.FLOAT, 1, 3, 4);
    private static final INDArray STEPS = Networks.random(DataType.FLOAT, 2, 3, 3, 4);
    private static final INDArray IMAGE = Networks.random(DataType.FLOAT, 3, 2, 2, 6, 6);
    private static final INDArray WORDS = Nd4j.createFromArray(new float[][] {{1, 2, 3, 0}, {4, 5, 6, 1}});
    private static final INDArray[] TWO = {Networks.random(DataType.FLOAT, 4, 3, 1, 5, 5), STEPS};

    private final Map<String, OldKind> kinds = new TreeMap<>();

    private OldKinds() {
    }

    static Map<String, OldKind> all() {
        OldKinds all = new OldKinds();
        all.variantsAndStarts();
        all.whatTrainsHow();
        all.layers();
        all.graphs();
        all.whereTheBaseIs();
        all.withoutABase();
        all.adapters();
        return all.kinds;
    }

    private static LoRAConfig.Builder lora() {
        return LoRAConfig.builder().rank(2).alpha(4).scaling(Scaling.ALPHA_OVER_RANK).updater(new Adam(0.02));
    }

    private void dense(String name, LoRAConfig.Builder config) {
        kinds.put(name, OldKind.adapted(OldBases::dense, config, ROWS));
    }

    private void adapted(String name, LongFunction<Model> base, LoRAConfig.Builder config, INDArray... features) {
        kinds.put(name, OldKind.adapted(base, config, features));
    }

    private void variantsAndStarts() {
        dense("plain", lora());
        dense("lora-plus", lora().loraPlusRatio(4));
        dense("rslora", lora().scaling(Scaling.ALPHA_OVER_SQRT_RANK));
        dense("lora-fa", lora().variant(new FrozenALoRA()));
        dense("dora", lora().variant(new DoRA()));
        dense("dora-output", lora().variant(new DoRA()).targets("fc1", "out"));
        dense("dora-pissa", lora().variant(new DoRA()).loraInit(LoRAInit.PISSA).bias(BiasTraining.LORA_ONLY));
        dense("pissa", lora().loraInit(LoRAInit.PISSA));
        dense("pissa-randomised", lora().loraInit(LoRAInit.PISSA).pissaIterations(4));
        dense("olora", lora().loraInit(LoRAInit.OLORA));
        dense("lora-fa-olora", lora().loraInit(LoRAInit.OLORA).variant(new FrozenALoRA()));
        dense("orthogonal", lora().loraInit(LoRAInit.ORTHOGONAL));
        dense("gaussian", lora().loraInit(LoRAInit.GAUSSIAN).alpha(0.5).scaling(Scaling.ALPHA));
        dense("kaiming-rank", lora().loraInit(LoRAInit.KAIMING_UNIFORM_RANK));
        dense("eva", lora().loraInit(LoRAInit.EVA).rankBudget(4));
        dense("lora-fa-eva", lora().loraInit(LoRAInit.EVA).variant(new FrozenALoRA()));
        dense("lora-ga", lora().loraInit(LoRAInit.LORA_GA));
        dense("loftq-nf4", lora().loraInit(LoRAInit.LOFTQ).quantize(Quantization.NF4));
        dense("loftq-int8", lora().loraInit(LoRAInit.LOFTQ).pissaIterations(4).quantize(Quantization.INT8));
        dense("pissa-int8", lora().loraInit(LoRAInit.PISSA).quantize(Quantization.INT8));
        dense("dora-nf4", lora().variant(new DoRA()).quantize(Quantization.NF4));
    }

    private void whatTrainsHow() {
        dense("biases", lora().bias(BiasTraining.LORA_ONLY).targets("fc1"));
        dense("all-biases", lora().bias(BiasTraining.ALL).targets("fc1"));
        dense("mixed", lora().alpha(1).scaling(Scaling.ALPHA).override("fc2", o -> o.rank(1).alpha(0.5)).loraDropout(0.1)
                .loraPlusRatio(4).bias(BiasTraining.LORA_ONLY).trainable("out"));
        dense("overrides", lora().targets("fc.*", "out").override("fc1", o -> o.loraInit(LoRAInit.PISSA).pissaIterations(2))
                .override("fc2", o -> o.loraInit(LoRAInit.OLORA)).override("out", o -> o.rank(3).alpha(1)));
        dense("dora-somewhere", lora().override("fc1", o -> o.variant(new DoRA())));
        dense("regularised", lora().l1(0.01).l2(0.02));
        dense("weight-decay", lora().weightDecay(0.01));
        dense("head", lora().trainable("out"));
        dense("output", lora().targets("out"));
        dense("samediff", lora().targets("fc1", "out").engine(Engine.SAMEDIFF));
        adapted("counted", seed -> counted((MultiLayerNetwork) OldBases.dense(seed)), lora().keepCounts(true)
                .updater(new Adam(new ExponentialSchedule(ScheduleType.ITERATION, 0.05, 0.9))), ROWS);
        adapted("dressed", OldBases::dressed, lora().targets("fc1"), ROWS);
        adapted("unnamed", OldBases::unnamed, lora().targets(LayerType.DENSE, LayerType.OUTPUT), ROWS);
        adapted("updaters", OldBases::ofManyUpdaters, lora().updater(null).trainable("out"), ROWS);
        adapted("vectors", OldBases::vectors, lora().targets("fc1").trainable("norm", "slopes", "factors"), ROWS);
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16}) {
            adapted(type.toString().toLowerCase(Locale.ROOT), seed -> OldBases.of(type, seed),
                    lora().updater(new Sgd(0.1)).trainable("out"), ROWS.castTo(type));
        }
    }

    private static Model counted(MultiLayerNetwork network) {
        network.setIterationCount(7);
        network.setEpochCount(3);
        return network;
    }

    private void layers() {
        adapted("centers", OldBases::centers, lora().targets("fc1", "out"), ROWS);
        adapted("auto-encoders", OldBases::autoEncoders, lora().targets(LayerType.AUTO_ENCODER), ROWS);
        adapted("images", OldBases::images, lora().targets("conv1"), IMAGE);
        adapted("images-dora", OldBases::images, lora().variant(new DoRA()).targets("conv.*", "out"), IMAGE);
        adapted("images-effective", OldBases::images, lora().targets("conv.*").engine(Engine.EFFECTIVE_WEIGHTS), IMAGE);
        adapted("images-channels-last", OldBases::imagesChannelsLast, lora().allTargets(), IMAGE.permute(0, 2, 3, 1).dup('c'));
        adapted("images-int8", OldBases::images, lora().targets("conv1").quantize(Quantization.INT8), IMAGE);
        adapted("images-embedded", OldBases::images, lora().targets("conv1").storage(FrozenStorage.EMBEDDED), IMAGE);
        adapted("many-images", OldBases::manyImages, lora().allTargets(), IMAGE);
        adapted("volumes", OldBases::volumes, lora().allTargets(), Networks.random(DataType.FLOAT, 5, 2, 1, 3, 3, 3));
        adapted("capsules", OldBases::capsules, lora().allTargets(), Networks.random(DataType.FLOAT, 6, 2, 1, 6, 6));
        adapted("sequences", OldBases::sequences, lora().allTargets().targets("out"), STEPS);
        adapted("sequences-embedded", OldBases::sequences, lora().allTargets().targets("out").storage(FrozenStorage.EMBEDDED),
                STEPS);
        adapted("sequences-nf4", OldBases::sequences, lora().targets("conv", "lstm/RW").bias(BiasTraining.ALL)
                .quantize(Quantization.NF4), STEPS);
        adapted("recurrent", OldBases::recurrent, lora().allTargets().exclude("graves/W"), STEPS);
        adapted("attention", OldBases::attention, lora().allTargets().targets("attention/W[qv]"), STEPS);
        adapted("attention-trained", OldBases::attention, lora().targets("out").trainable("attention", "local"), STEPS);
        adapted("word", OldBases::word, lora().targets("words", "fc1"), Nd4j.createFromArray(new float[][] {{3}, {0}, {6}}));
        adapted("words", OldBases::words, lora().allTargets(), WORDS);
        adapted("words-dora", OldBases::words, lora().variant(new DoRA()).targets("words"), WORDS);
        adapted("words-int8", OldBases::words, lora().targets("words").quantize(Quantization.INT8), WORDS);
    }

    private void graphs() {
        adapted("vertices", OldBases::vertices, lora().targets("lstm", "attention"), STEPS);
        adapted("vertices-embedded", OldBases::vertices, lora().targets("lstm", "attention").storage(FrozenStorage.EMBEDDED),
                STEPS);
        adapted("vertices-trained", OldBases::vertices, lora().targets("out").trainable("attention"), STEPS);
        adapted("vertices-kept", OldBases::vertices, lora().targets("lstm", "out"), STEPS);
        adapted("two", OldBases::twoByTwo, lora().targets("fc.*", "conv", "steps").trainable("out"), TWO);
        adapted("two-nf4", OldBases::twoByTwo, lora().targets("fc.*").quantize(Quantization.NF4), TWO);
    }

    private void whereTheBaseIs() {
        dense("copied", lora().copyBase(true));
        dense("embedded", lora().storage(FrozenStorage.EMBEDDED));
        dense("dora-embedded", lora().variant(new DoRA()).storage(FrozenStorage.EMBEDDED));
        dense("pissa-embedded", lora().loraInit(LoRAInit.PISSA).storage(FrozenStorage.EMBEDDED));
        dense("int8", lora().quantize(Quantization.INT8).targets("fc1", "out"));
        dense("nf4", lora().quantize(Quantization.NF4).trainable("out"));
        kinds.put("located", OldKind.located(OldBases::dense, lora(), ROWS));
        kinds.put("located-int8", OldKind.located(OldBases::images, lora().targets("conv1").quantize(Quantization.INT8), IMAGE));
        kinds.put("located-two-nf4", OldKind.located(OldBases::twoByTwo, lora().quantize(Quantization.NF4), TWO));
        kinds.put("mapped", OldKind.mapped(OldBases::dense, null, lora(), ROWS));
        kinds.put("mapped-pissa-int8", OldKind.mapped(OldBases::dense, Quantization.INT8, lora().loraInit(LoRAInit.PISSA), ROWS));
        kinds.put("mapped-sequences", OldKind.mapped(OldBases::sequences, null, lora().allTargets(), STEPS));
        kinds.put("mapped-two-nf4", OldKind.mapped(OldBases::twoByTwo, Quantization.NF4, lora(), TWO));
        kinds.put("frozen", OldKind.frozen(OldBases::vectors, null, ROWS));
        kinds.put("frozen-dressed", OldKind.frozen(OldBases::dressed, null, ROWS));
        kinds.put("frozen-class", OldKind.frozen(OldBases::oneClass, null, ROWS));
        kinds.put("frozen-recurrent", OldKind.frozen(OldBases::recurrent, null, STEPS));
        kinds.put("frozen-two", OldKind.frozen(OldBases::twoByTwo, null, TWO));
        kinds.put("frozen-int8", OldKind.frozen(OldBases::images, Quantization.INT8, IMAGE));
        kinds.put("frozen-nf4", OldKind.frozen(OldBases::words, Quantization.NF4, WORDS));
        kinds.put("object", OldKind.object(OldBases::dense, lora(), ROWS));
        kinds.put("normalised", (folder, seed) -> {
            OldKind.adapted(OldBases::dense, lora(), ROWS).write(folder, seed);
            ModelSerializer.addNormalizerToModel(folder.file(OldFolder.SAVED).toFile(), NORMALIZER);
        });
    }

    private void withoutABase() {
        kinds.put("declared", OldKind.whole(seed -> OldBases.layers(seed, InputType.feedForward(4),
                named("fc1", new LoRADenseLayer.Builder().nOut(5).rank(2).alpha(2).variant(new DoRA()).trainBias(true).build()),
                named("fc2", new LoRADenseLayer.Builder().nOut(5).rank(2).alpha(2).hasLayerNorm(true).build()),
                named("path", new LowRankLayer.Builder().nOut(4).rank(2).alpha(2).build()), OldBases.out()), ROWS));
        kinds.put("merged", OldKind.whole(seed -> Models.merge(OldKind.trained(OldBases.dense(seed), lora().build(), ROWS)),
                ROWS));
        kinds.put("merged-partly", OldKind.remade(OldBases::dense, lora(), network ->
                LoRA.merging((MultiLayerNetwork) network).layers("fc1").weight(0.5).merge(), ROWS));
        kinds.put("merged-partly-vertices", OldKind.remade(OldBases::vertices, lora().targets("lstm", "attention", "out"),
                network -> LoRA.merging((ComputationGraph) network).layers("attention").merge(), STEPS));
    }

    private void adapters() {
        kinds.put("zipped", OldKind.zipped(OldBases::dense, lora().variant(new DoRA()).loraInit(LoRAInit.PISSA)
                .bias(BiasTraining.LORA_ONLY).trainable("out"), ROWS));
        kinds.put("zipped-overrides", OldKind.zipped(OldBases::dense, lora().loraInit(LoRAInit.OLORA).scaling(Scaling.ALPHA)
                .override("fc1", o -> o.loraInit(LoRAInit.GAUSSIAN).rank(3).alpha(0.5)), ROWS));
        adapter("compressed", lora(), network -> LoRAAdapter.of(network).compress(1).adapter());
        adapter("plain-of-olora", lora().loraInit(LoRAInit.OLORA), network -> LoRAAdapter.of(network).toPlainLoRA());
        adapter("extracted", lora().bias(BiasTraining.ALL).trainable("out"), network -> {
            Model base = Models.copy(Models.unload(network));
            return LoRAAdapter.extract(base, Models.merge(network)).energy(0.99).fullValues(true).build().adapter();
        });
        for (Combination.Method method : new Combination.Method[] {Combination.Method.CAT, Combination.Method.TIES_SVD}) {
            adapter("combined-" + method.toString().toLowerCase(Locale.ROOT).replace('_', '-'), lora(),
                    network -> combined(method, network));
        }
    }

    private void adapter(String name, LoRAConfig.Builder config, Function<Model, LoRAAdapter> making) {
        kinds.put(name, OldKind.adapter(OldBases::dense, config, making, ROWS));
    }

    private static LoRAAdapter combined(Combination.Method method, Model network) {
        LoRAAdapter first = LoRAAdapter.of(network);
        OldFolder.step(network, new INDArray[] {ROWS}, OldFolder.outputs(network, ROWS));
        Combination both = LoRAAdapter.combine(method).add(first, 0.7).add(LoRAAdapter.of(network), -0.4);
        return (method.needsDensity() ? both.density(0.8).rank(2) : both).build();
    }
}

package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.util.List;
import java.util.function.Function;
import java.util.function.LongFunction;

/** Writes one kind of network into its folder. */
@FunctionalInterface
interface OldKind {

    void write(OldFolder folder, long seed) throws IOException;

    /** A trained adapted network, its base and its adapter. */
    static OldKind adapted(LongFunction<Model> base, LoRAConfig.Builder config, INDArray... features) {
        return (folder, seed) -> {
            Model stock = written(base.apply(seed), folder);
            adapt(folder, stock, config.build(), features);
        };
    }

    /** {@link #adapted}, and the network knows where to look for its base. */
    static OldKind located(LongFunction<Model> base, LoRAConfig.Builder config, INDArray... features) {
        return (folder, seed) -> adapted(base, config.build().toBuilder().baseLocation(folder.location()), features)
                .write(folder, seed);
    }

    /** {@link #adapted} on a mapped base. */
    static OldKind mapped(LongFunction<Model> base, Quantization scheme, LoRAConfig.Builder config, INDArray... features) {
        return (folder, seed) -> {
            Model stock = written(base.apply(seed), folder);
            LoRA.writeBase(stock, folder.file(OldFolder.MAPPED), scheme);
            Model opened = LoRA.openBase(folder.file(OldFolder.MAPPED));
            folder.write(OldFolder.BASE_OUTPUT, OldFolder.outputs(opened, features));
            adapt(folder, opened, config.build(), features);
        };
    }

    /** A frozen network without adapters. */
    static OldKind frozen(LongFunction<Model> base, Quantization scheme, INDArray... features) {
        return (folder, seed) -> {
            Model stock = written(base.apply(seed), folder);
            Model frozen = Models.freeze(stock, scheme);
            LoRA.save(frozen, folder.file(OldFolder.SAVED), true);
            serialize(frozen, folder);
            compute(folder, frozen, features);
        };
    }

    /** An adapter that was made of a trained adapted network, or of its two adapters. */
    static OldKind adapter(LongFunction<Model> base, LoRAConfig.Builder config, Function<Model, LoRAAdapter> making,
                           INDArray... features) {
        return (folder, seed) -> {
            Model stock = written(base.apply(seed), folder);
            LoRAAdapter made = making.apply(trained(stock, config.build(), features));
            made.save(folder.file(OldFolder.ADAPTER));
            compute(folder, Models.with(stock, made), features);
        };
    }

    /** A network that ModelSerializer writes whole. */
    static OldKind whole(LongFunction<Model> network, INDArray... features) {
        return (folder, seed) -> {
            Model whole = network.apply(seed);
            train(whole, features);
            serialize(whole, folder);
            compute(folder, whole, features);
            goOn(folder, whole, features);
        };
    }

    /** What is made of a trained adapted network and is one itself, on a base of its own. */
    static OldKind remade(LongFunction<Model> base, LoRAConfig.Builder config, Function<Model, Model> making,
                          INDArray... features) {
        return (folder, seed) -> {
            Model remade = making.apply(trained(base.apply(seed), config.build(), features));
            written(Models.unload(remade), folder);
            write(folder, remade, features);
        };
    }

    /** {@link #adapted}, with the adapter in one file, too. */
    static OldKind zipped(LongFunction<Model> base, LoRAConfig.Builder config, INDArray... features) {
        return (folder, seed) -> {
            adapted(base, config, features).write(folder, seed);
            try (OutputStream zip = Files.newOutputStream(folder.file(OldFolder.ADAPTER_ZIP))) {
                LoRAAdapter.load(folder.file(OldFolder.ADAPTER)).saver().save(zip);
            }
        };
    }

    /** A trained adapted network as Java's serialization writes it. */
    static OldKind object(LongFunction<Model> base, LoRAConfig.Builder config, INDArray... features) {
        return (folder, seed) -> {
            Model stock = written(base.apply(seed), folder);
            Model network = trained(stock, config.build(), features);
            try (OutputStream file = Files.newOutputStream(folder.file(OldFolder.OBJECT));
                    ObjectOutputStream out = new ObjectOutputStream(file)) {
                out.writeObject(network);
            }
            compute(folder, network, features);
        };
    }

    private static void adapt(OldFolder folder, Model base, LoRAConfig config, INDArray... features) throws IOException {
        Model network = trained(base, config, features);
        // PEFT says for all layers at once whether they are DoRA.
        if (config.overrides().values().stream().allMatch(override -> override.variant() == null)) {
            LoRAAdapter.of(network).save(folder.file(OldFolder.ADAPTER));
        }
        if (isRestoredByModelSerializer(config)) {
            serialize(network, folder);
        }
        LoRA.save(network, folder.file(OldFolder.SAVED), true);
        compute(folder, network, features);
        goOn(folder, network, features);
    }

    /** The guide: what such starts took from data is in files of LoRA.save alone. */
    private static boolean isRestoredByModelSerializer(LoRAConfig config) {
        return config.loraInit() != LoRAInit.LORA_GA
                && !(config.loraInit() == LoRAInit.EVA && config.variant() instanceof FrozenALoRA);
    }

    private static void write(OldFolder folder, Model network, INDArray... features) throws IOException {
        serialize(network, folder);
        LoRA.save(network, folder.file(OldFolder.SAVED), true);
        compute(folder, network, features);
        goOn(folder, network, features);
    }

    private static void serialize(Model network, OldFolder folder) throws IOException {
        ModelSerializer.writeModel(network, folder.file(OldFolder.SERIALIZED).toFile(), true);
    }

    /** The base as its file has it, which is less than what was written: DL4J makes some layers' parameters anew. */
    private static Model written(Model base, OldFolder folder) throws IOException {
        ModelSerializer.writeModel(base, folder.file(OldFolder.BASE).toFile(), false);
        return LoRA.restore(folder.file(OldFolder.BASE), false);
    }

    private static void compute(OldFolder folder, Model network, INDArray... features) throws IOException {
        folder.write(OldFolder.FEATURES, features);
        folder.write(OldFolder.OUTPUT, OldFolder.outputs(network, features));
    }

    private static void goOn(OldFolder folder, Model network, INDArray... features) throws IOException {
        OldFolder.step(network, features, OldFolder.outputs(network, features));
        folder.write(OldFolder.CONTINUED, OldFolder.outputs(network, features));
    }

    static Model trained(Model base, LoRAConfig config, INDArray... features) {
        Model network = config.loraInit().needsData() ? Models.apply(base, config, new ListDataSetIterator<>(
                List.of(new DataSet(features[0], OldFolder.outputs(base, features)[0].add(0.5))), 1))
                : Models.apply(base, config);
        train(network, features);
        return network;
    }

    private static void train(Model network, INDArray... features) {
        INDArray[] first = OldFolder.outputs(network, features);
        for (int i = 0; i < 3; i++) {
            OldFolder.step(network, features, first);
        }
    }
}

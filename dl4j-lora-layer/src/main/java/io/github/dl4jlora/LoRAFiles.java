package io.github.dl4jlora;

import io.github.dl4jlora.internal.base.MappedFile;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.file.MappedBase;
import io.github.dl4jlora.internal.file.NetworkFile;
import io.github.dl4jlora.internal.keras.StreamedKeras;
import io.github.dl4jlora.internal.rewrite.Adaptation;
import io.github.dl4jlora.internal.rewrite.BaseAttachment;
import io.github.dl4jlora.internal.rewrite.DisabledScopes;
import io.github.dl4jlora.internal.rewrite.Scales;
import io.github.dl4jlora.internal.untrusted.ModelZip;
import io.github.dl4jlora.internal.untrusted.StreamedBase;
import io.github.dl4jlora.internal.untrusted.StreamedModel;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;

/** What {@link LoRA} reads and writes: networks that stand by themselves, and bases. */
abstract class LoRAFiles {

    LoRAFiles() {
    }

    /**
     * Writes one self-contained file: base, adapters and, if asked for, updater state. <b>A file that is there is replaced</b>.
     * The new one appears whole or not at all; the old one stays until then.
     *
     * @param adapted     an adapted network
     * @param path        of the file
     * @param saveUpdater whether updater state goes into it
     * @throws IllegalStateException if the base has changed since it was adapted, or the adapters are disabled or scaled
     * @throws IOException           if the file cannot be written
     */
    public static void save(Model adapted, Path path, boolean saveUpdater) throws IOException {
        save(adapted, path, saveUpdater, new SaveOption[0]);
    }

    /**
     * As {@link LoRA#save(Model, Path, boolean)}, with options.
     *
     * @param adapted     an adapted network
     * @param path        of the file
     * @param saveUpdater whether updater state goes into it
     * @param options     each at most once
     * @throws IllegalStateException if the base has changed since it was adapted, or the adapters are disabled
     * @throws IOException           if the file cannot be written; a {@link java.nio.file.FileAlreadyExistsException} if it
     *                               exists and {@link SaveOption#NEW_ONLY} is given
     */
    public static void save(Model adapted, Path path, boolean saveUpdater, SaveOption... options) throws IOException {
        Objects.requireNonNull(path, "The path to save to is null");
        DisabledScopes.requireNone(adapted, "LoRA.save");
        Scales.requireNone(adapted, "LoRA.save");
        NetworkFile.save(adapted, BaseAttachment.everythingFrozen(adapted), path, saveUpdater, options);
    }

    /**
     * Reads what {@link LoRA#save} wrote, packed anew or not. The network stands on the file's own values, which it shares with
     * others that are loaded from such a file, and with nobody who could train or close them.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static ComputationGraph loadComputationGraph(Path path) throws IOException {
        return as(ComputationGraph.class, load(path), path, "LoRA.loadMultiLayerNetwork");
    }

    /**
     * As {@link LoRA#loadComputationGraph}.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static MultiLayerNetwork loadMultiLayerNetwork(Path path) throws IOException {
        return as(MultiLayerNetwork.class, load(path), path, "LoRA.loadComputationGraph");
    }

    private static <T extends Model> T as(Class<T> type, Model network, Path path, String other) throws IOException {
        if (!type.isInstance(network)) {
            throw new IOException(path + " holds a " + network.getClass().getSimpleName() + ": use " + other);
        }
        return type.cast(network);
    }

    /**
     * As {@link LoRA#loadComputationGraph}, for whichever of the two network types the file holds.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model load(Path path) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to load from is null"));
        return Adaptation.restored(NetworkFile.load(path));
    }

    /**
     * Reads what DL4J's ModelSerializer wrote, as ModelSerializer would: a stock network or a checkpoint of an adapted one, with
     * its iteration and epoch counts. Unlike ModelSerializer it compares what the file claims with what the file holds before it
     * takes memory, and deserialises no Java object: {@code preprocessor.bin}, which is one, is left out with a warning in the
     * log. So the file may come from anybody. Its layers are of classes that are on the class path.
     *
     * <p>A checkpoint looks for the frozen weights that it stands on when it first computes: see
     * {@link LoRA#attach(ComputationGraph, ComputationGraph)}.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return a ComputationGraph or a MultiLayerNetwork, whichever the file holds
     * @throws IOException if the file is missing, truncated, damaged or of another kind, or promises more than it holds; the
     *                     message names it
     */
    public static Model restore(Path path, boolean loadUpdater) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to restore from is null"));
        if (isSelfContained(path)) {
            throw new IOException(path + " was written by LoRA.save: read it with LoRA.load, which has its weights too");
        }
        return Adaptation.restored(ModelZip.restore(path.toFile(), loadUpdater));
    }

    /**
     * {@return whether a file is one of {@link LoRA#save}, which has the weights that its network stands on}
     *
     * @param path of the file
     * @throws IOException if it is missing, truncated, damaged or no zip file; the message names it
     */
    public static boolean isSelfContained(Path path) throws IOException {
        return NetworkFile.isSelfContained(Objects.requireNonNull(path, "The path is null").toFile());
    }

    /**
     * As {@link LoRA#restore}, of a ComputationGraph.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return the network that was written
     * @throws IOException as there, and if the file holds a MultiLayerNetwork
     */
    public static ComputationGraph restoreComputationGraph(Path path, boolean loadUpdater) throws IOException {
        return as(ComputationGraph.class, restore(path, loadUpdater), path, "LoRA.restoreMultiLayerNetwork");
    }

    /**
     * As {@link LoRA#restore}, of a MultiLayerNetwork.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return the network that was written
     * @throws IOException as there, and if the file holds a ComputationGraph
     */
    public static MultiLayerNetwork restoreMultiLayerNetwork(Path path, boolean loadUpdater) throws IOException {
        return as(MultiLayerNetwork.class, restore(path, loadUpdater), path, "LoRA.restoreComputationGraph");
    }

    /**
     * Reads the normalizer that lies beside a network in a file of {@link LoRA#save} or DL4J's ModelSerializer, where
     * {@code ModelSerializer.addNormalizerToModel} puts it. As {@link LoRA#restore} does, it believes nothing that the file
     * claims: a normalizer of a class of somebody's own, or one that Java serialised, is refused.
     *
     * @param path of the file
     * @return the normalizer of the data that the network was trained on; empty if there is none
     * @throws IOException if the file is missing, truncated, damaged or no zip file, or the normalizer of a kind that is not
     *                     read; the message names the file
     */
    public static Optional<Normalizer<?>> restoreNormalizer(Path path) throws IOException {
        Objects.requireNonNull(path, "The path to restore from is null");
        return Optional.ofNullable(ModelZip.normalizer(path.toFile()));
    }

    /**
     * Reads a base network and adapts it, layer by layer: what takes memory is what is kept in fewer bits, and the largest layer
     * as it was. As {@link LoRA#apply(MultiLayerNetwork, LoRAConfig)} in all else.
     *
     * @param path   of a file that DL4J's ModelSerializer wrote, or of one that Keras wrote, for which
     *               {@code deeplearning4j-modelimport} must be on the class path
     * @param config with {@code quantize}
     * @return an adapted network, a ComputationGraph or a MultiLayerNetwork
     * @throws IllegalArgumentException if the configuration is null or does not say quantize, and as there
     * @throws IOException              if the file is missing, truncated, damaged or of another kind
     */
    public static Model loadQuantized(Path path, LoRAConfig config) throws IOException {
        requireQuantized(config, "restore it with LoRA.restore");
        return Adaptation.apply(stream(path), config);
    }

    private static void requireQuantized(LoRAConfig config, String asItIs) {
        if (config == null || config.quantization() == null) {
            throw new IllegalArgumentException("LoRA.loadQuantized needs a LoRAConfig that says how: "
                    + "quantize(Quantization.INT8), for example. To keep the base as it is, " + asItIs + " and call LoRA.apply");
        }
    }

    /**
     * As {@link LoRA#loadQuantized(Path, LoRAConfig)}, of values that come from elsewhere.
     *
     * @param base   read once
     * @param config with {@code quantize}
     * @param <M>    the network type
     * @return an adapted network
     * @throws IllegalArgumentException if the configuration is null or does not say quantize, and as there
     * @throws IOException              that the source throws
     */
    public static <M extends Model> M loadQuantized(BaseSource<M> base, LoRAConfig config) throws IOException {
        requireQuantized(config, "take the source's network()");
        return of(base, streamed -> Adaptation.apply(streamed, config));
    }

    /**
     * As {@link LoRA#loadQuantized(Path, LoRAConfig)}, without adapters: a frozen network, as of
     * {@link LoRA#freeze(MultiLayerNetwork, Quantization)}.
     *
     * @param path   as there
     * @param scheme how matrices are kept
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model loadQuantized(Path path, Quantization scheme) throws IOException {
        Objects.requireNonNull(scheme, "The scheme is null; Quantization.INT8, for example, is one");
        return Adaptation.freeze(stream(path), scheme);
    }

    /**
     * As {@link LoRA#loadQuantized(Path, Quantization)}, of values that come from elsewhere.
     *
     * @param base   read once
     * @param scheme how matrices are kept
     * @param <M>    the network type
     * @return a frozen network
     * @throws IOException that the source throws
     */
    public static <M extends Model> M loadQuantized(BaseSource<M> base, Quantization scheme) throws IOException {
        Objects.requireNonNull(scheme, "The scheme is null; Quantization.INT8, for example, is one");
        return of(base, streamed -> Adaptation.freeze(streamed, scheme));
    }

    /** Makes a network of what is read layer by layer. */
    @FunctionalInterface
    private interface Making {
        Model of(StreamedBase base) throws IOException;
    }

    /** What is made of a source's configuration is of its type. */
    @SuppressWarnings("unchecked")
    private static <M extends Model> M of(BaseSource<M> base, Making making) throws IOException {
        return (M) making.of(Objects.requireNonNull(base, "The source of the base is null").streamed());
    }

    private static StreamedBase stream(Path path) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to load from is null"));
        File file = path.toFile();
        return file.isFile() && StreamedKeras.recognises(file) ? StreamedKeras.open(file) : StreamedModel.open(file);
    }

    private static void refuseMapped(Path path) throws IOException {
        if (Files.isRegularFile(path) && MappedFile.recognises(path)) {
            throw new IOException(path + " was written by LoRA.writeBase: open it with LoRA.openBase, and adapt that network "
                    + "with LoRA.apply");
        }
    }

    /**
     * Writes a base for {@link LoRA#openBase}: one uncompressed file, a little longer than the values. <b>A file that is there is
     * replaced</b>, even one that is open. What takes memory meanwhile is what is kept in fewer bits, beside the base itself.
     *
     * @param base    trained, a stock network or a frozen one; not changed
     * @param path    of the file
     * @param scheme  how matrices are kept; null: as they are
     * @param options each at most once
     * @throws IllegalArgumentException if the base is null, not initialised, adapted, has no parameters or is kept in fewer bits
     *                                  by another scheme, if a weight is NaN or infinite, or if the values of a layer take more
     *                                  than 2 GiB in one piece; the message names the layer
     * @throws IOException              if the file cannot be written; a {@link java.nio.file.FileAlreadyExistsException} if it
     *                                  exists and {@link SaveOption#NEW_ONLY} is given
     */
    public static void writeBase(Model base, Path path, Quantization scheme, SaveOption... options) throws IOException {
        AtomicFile.requireNew(Objects.requireNonNull(path, "The path to write to is null"), options);
        MappedBase.write(Adaptation.freeze(base, scheme, "Write the base that it stands on or what LoRA.merge makes of it, or "
                + "write base and adapters with LoRA.save"), path, options);
    }

    /**
     * As {@link LoRA#writeBase(Model, Path, Quantization, SaveOption...)}, of values that come from elsewhere, layer by layer:
     * what takes memory is what is kept, and the largest layer as it was.
     *
     * @param base    read once
     * @param path    of the file
     * @param scheme  how matrices are kept; null: as they are
     * @param options each at most once
     * @throws IllegalArgumentException as there
     * @throws IOException              that the source throws, and as there
     */
    public static void writeBase(BaseSource<?> base, Path path, Quantization scheme, SaveOption... options) throws IOException {
        AtomicFile.requireNew(Objects.requireNonNull(path, "The path to write to is null"), options);
        MappedBase.write(of(base, streamed -> Adaptation.freeze(streamed, scheme)), path, options);
    }

    /**
     * Makes a frozen network, as of {@link LoRA#freeze(ComputationGraph)}, on a file that {@link LoRA#writeBase} wrote. Nothing
     * of its values is read before a pass needs it, they take none of Java's or ND4J's memory, and processes of one machine share
     * them. Whatever stands on a base may stand on this network: {@link LoRA#apply(ComputationGraph, LoRAConfig)} and
     * {@link LoRA#attach} share the mapping, but read it through to see that it is the base that it claims to be.
     *
     * <p>While it is in use, replace such a file by writing a new one, as {@code writeBase} does, and never shorten one in
     * place: a JVM that reads values which are no longer there may end.
     *
     * @param path of the file
     * @return a frozen network, a ComputationGraph or a MultiLayerNetwork
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model openBase(Path path) throws IOException {
        return Adaptation.restored(MappedBase.open(Objects.requireNonNull(path, "The path to open is null")));
    }

    /**
     * {@return whether a file begins as one of {@link LoRA#writeBase} does}
     *
     * @param path of the file
     * @throws IOException if it cannot be read
     */
    public static boolean isBase(Path path) throws IOException {
        return MappedFile.recognises(Objects.requireNonNull(path, "The path is null"));
    }

    /**
     * As {@link LoRA#openBase}, of a ComputationGraph.
     *
     * @param path of the file
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static ComputationGraph openComputationGraphBase(Path path) throws IOException {
        return as(ComputationGraph.class, openBase(path), path, "LoRA.openMultiLayerNetworkBase");
    }

    /**
     * As {@link LoRA#openBase}, of a MultiLayerNetwork.
     *
     * @param path of the file
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static MultiLayerNetwork openMultiLayerNetworkBase(Path path) throws IOException {
        return as(MultiLayerNetwork.class, openBase(path), path, "LoRA.openComputationGraphBase");
    }
}

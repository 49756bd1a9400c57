package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.TorchModel;
import io.github.dl4jlora.internal.peft.PeftWriter;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.NullUnmarked;
import org.jspecify.annotations.Nullable;

/**
 * Writes an adapter as PEFT's files, with options: {@code adapter.saver().keyMapper(modules::get).save(folder)}.
 *
 * <pre>{@code
 * adapter.saver()
 *         .keyMapper(layer -> "encoder." + layer)                 // a layer's name to a module's
 *         .baseModel("roberta-base")                              // what AutoPeftModelForSequenceClassification opens
 *         .taskType("SEQ_CLS")
 *         .save(Path.of("adapter"), SaveOption.NEW_ONLY);
 * }</pre>
 */
public final class AdapterSaver {

    private final AdapterContent adapter;
    private final NothingLearned nothing;
    private UnaryOperator<String> keyMapper = UnaryOperator.identity();

    private @Nullable String baseModel;
    private @Nullable String taskType;

    AdapterSaver(AdapterContent adapter, NothingLearned nothing) {
        this.adapter = adapter;
        this.nothing = nothing;
    }

    /**
     * Sets which PyTorch module a layer is for; null leaves the layer out. Default: the same name.
     *
     * @param mapper from the name of a layer, or {@code layer.key} where it has several matrices, to a module's; modules trained
     *               in full, and biases, that {@link io.github.dl4jlora.conf.TorchNames} of the adapter's network names keep
     *               that name. Of an adapter from a file all names are mapped
     * @return this saver
     */
    @NullUnmarked // A mapper takes no null, but may give it: both kinds of type must fit.
    public AdapterSaver keyMapper(UnaryOperator<String> mapper) {
        keyMapper = Objects.requireNonNull(mapper, "keyMapper");
        return this;
    }

    /**
     * Sets which model PEFT opens for the adapter: its {@code base_model_name_or_path}. {@code AutoPeftModelFor…} needs it.
     * Default: what the file said that the adapter was loaded from, or none.
     *
     * @param nameOrFolder a name on the hub, such as {@code roberta-base}, or a folder
     * @return this saver
     */
    public AdapterSaver baseModel(String nameOrFolder) {
        baseModel = Objects.requireNonNull(nameOrFolder, "nameOrFolder");
        return this;
    }

    /**
     * Sets PEFT's {@code task_type}, which says of what class the model is; {@code AutoPeftModelFor…} needs it. With
     * {@code SEQ_CLS}, {@code TOKEN_CLS} and {@code QUESTION_ANS} PEFT copies the head of the model, so none of the head's layers
     * may be adapted. Default: what the file said that the adapter was loaded from, or none.
     *
     * @param task {@code SEQ_CLS}, {@code TOKEN_CLS}, {@code QUESTION_ANS}, {@code CAUSAL_LM}, {@code SEQ_2_SEQ_LM} or
     *             {@code FEATURE_EXTRACTION}
     * @return this saver
     * @throws IllegalArgumentException for another
     */
    public AdapterSaver taskType(String task) {
        if (!TorchModel.TASKS.contains(task)) {
            throw new IllegalArgumentException("PEFT has no task_type \"" + task + "\"; it has " + TorchModel.TASKS);
        }
        taskType = task;
        return this;
    }

    /**
     * Writes PEFT's two files into a folder, which is made if need be. A new folder appears with both files or not at all. In
     * an existing folder both files are replaced together, in one step where the system can (Linux, macOS): at no moment are
     * they of different saves. Other files stay, and a link to the folder stays a link. Saves into one folder wait for one
     * another, also in several processes. PEFT has no way to say that layers started from different parts of W: these are
     * written as plain layers of twice the rank, which compute the same.
     *
     * @param folder  new, empty, or with an adapter that is replaced if the options allow it
     * @param options each at most once
     * @throws IOException              if there is a file of that name, the folder cannot be written to, or another program has
     *                                  been saving into it for a minute; a
     *                                  {@link java.nio.file.FileAlreadyExistsException} if it has either of the two files and
     *                                  {@link SaveOption#NEW_ONLY} is given
     * @throws IllegalArgumentException if such files have no name for the variant, or for parts of it, or no way to say that
     *                                  only some layers are DoRA; if the mapper gives two layers one name; if a layer of the head
     *                                  is adapted that {@link #taskType} has PEFT copy
     * @throws IllegalStateException    if a value is NaN or infinite
     */
    public void save(Path folder, SaveOption... options) throws IOException {
        writer().write(folder, options);
        nothing.warn("saved");
    }

    /**
     * Writes PEFT's two files into a zip.
     *
     * @param zip not closed
     * @throws IOException              if it cannot be written to
     * @throws IllegalArgumentException as {@link #save(Path, SaveOption...)}
     * @throws IllegalStateException    if a value is NaN or infinite; then nothing was written
     */
    public void save(OutputStream zip) throws IOException {
        writer().write(zip);
        nothing.warn("saved");
    }

    private PeftWriter writer() {
        TorchModel model = adapter.model();
        AdapterContent named = adapter.renamed(keyMapper).forModel(new TorchModel(baseModel == null ? model.base() : baseModel,
                taskType == null ? model.task() : taskType));
        return new PeftWriter(taskType == null ? PeftWriter.withoutTaskOfAdaptedHead(named) : named);
    }
}

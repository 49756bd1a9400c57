package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.KeptArrays;
import io.github.dl4jlora.internal.blas.Lie;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import io.github.dl4jlora.internal.run.AdaptedProduct;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.run.SlimGradients;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.recurrent.BaseRecurrentLayer;
import org.deeplearning4j.nn.params.SimpleRnnParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;

/**
 * Runs an LSTM, a GravesLSTM or a SimpleRnn in the place of DL4J's runtime, on frozen weights, with low-rank paths beside those
 * that are adapted. States, masks and truncated backpropagation follow that runtime. Other than there, the backward pass does
 * not compute the forward pass again, and no gradient of W or RW is formed.
 *
 * <pre>
 * input   [minibatch, nIn, steps]      or, with NWC, [minibatch, steps, nIn]
 * output  [minibatch, units, steps]    or, with NWC, [minibatch, steps, units]
 * </pre>
 */
final class RecurrentKernel extends BaseRecurrentLayer<org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer>
        implements OwnArithmetic {

    private static final String W = SimpleRnnParamInitializer.WEIGHT_KEY;
    private static final String RW = SimpleRnnParamInitializer.RECURRENT_WEIGHT_KEY;
    private static final String BIAS = SimpleRnnParamInitializer.BIAS_KEY;
    /** So many steps make up for a copy of RW. */
    private static final int MANY = 8;
    private static final int MANY_ROWS = 512;
    private static final String OUTPUT = "prevAct";
    private static final String MEMORY = "prevMem";

    private final RecurrentForm form;
    private final String prefix;
    private final long offset;
    private @Nullable KernelWeights weights;
    private boolean stock;
    private Map<String, INDArray> gradients = Map.of();
    private InputGradient inputGradient = InputGradient.NEEDED;
    private @Nullable Recurrence<?> recurrence;
    private @Nullable Pass pass;
    private @Nullable RecurrentLayer base;
    private final GrowingScratch slimOfInput = new GrowingScratch();
    private final GrowingScratch slimOfState = new GrowingScratch();

    /**
     * What a pass in training keeps. It is for the same input, mask and first state only.
     *
     * @param z     values of gates
     * @param kept  of all steps, and before the first
     * @param state before the first step; null for none
     */
    private record Pass(INDArray z, State kept, @Nullable State state, double @Nullable [][] masks) {

        @SuppressWarnings("ReferenceEquality")
        boolean startsFrom(@Nullable State other) {
            return state == other || state != null && other != null && state.h() == other.h() && state.c() == other.c();
        }

        boolean isUsable() {
            return KeptArrays.isUsable(z) && KeptArrays.isUsable(kept.h())
                    && (kept.c() == null || KeptArrays.isUsable(kept.c()));
        }
    }

    /**
     * @param conf   with the stock layer
     * @param prefix of the layer's keys in its wrapper
     * @param offset of the layer's parameters among those of its wrapper
     */
    RecurrentKernel(NeuralNetConfiguration conf, DataType type, RecurrentForm form, String prefix, long offset) {
        super(conf, type);
        this.form = form;
        this.prefix = prefix;
        this.offset = offset;
        this.params = Map.of();
    }

    /** To be called once, before the layer runs. */
    void attach(KernelWeights own) {
        weights = own;
    }

    /** To be called for a frozen layer: shows DL4J its parameters, which are among those of the stock layer in its wrappers. */
    void show(Map<String, INDArray> table, INDArray flat) {
        Map<String, INDArray> own = new LinkedHashMap<>();
        table.forEach((key, value) -> {
            if (key.startsWith(prefix)) {
                own.put(key.substring(prefix.length()), value);
            }
        });
        params = own;
        paramsFlattened = AdapterLayout.interval(flat, offset, offset + StockLayers.numParams(conf.getLayer()));
    }

    private KernelWeights weights() {
        return Objects.requireNonNull(weights);
    }

    void setGradients(Map<String, INDArray> views) {
        gradients = views;
    }

    void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    /** To be called when what the layer computes has changed. */
    @Override
    public void setStock(boolean asStock) {
        stock = asStock;
        drop();
    }

    private void drop() {
        pass = null;
        base = null;
    }

    @Override
    public Type type() {
        return form.isSimple() ? super.type() : Type.RECURRENT;
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    /** As in DL4J: an LSTM gets masks from wrappers only. */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatch) {
        return form.isSimple() ? super.feedForwardMaskArray(mask, state, minibatch) : new Pair<>(mask, MaskState.Passthrough);
    }

    @Override
    public void setInput(INDArray newInput, LayerWorkspaceMgr workspaces) {
        pass = null;
        super.setInput(newInput, workspaces);
    }

    @Override
    public void setMaskArray(@Nullable INDArray mask) {
        pass = null;
        super.setMaskArray(mask);
    }

    @Override
    public void clear() {
        drop();
        super.clear();
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return stock ? ofBase(layer -> ((org.deeplearning4j.nn.api.Layer) layer).activate(training, workspaces))
                : forward(null, training, keeps(training), null, workspaces);
    }

    @Override
    public INDArray activate(INDArray newInput, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(newInput, workspaces);
        return activate(training, workspaces);
    }

    @Override
    public INDArray rnnTimeStep(INDArray newInput, LayerWorkspaceMgr workspaces) {
        setInput(newInput, workspaces);
        return stock ? ofBase(layer -> layer.rnnTimeStep(newInput, workspaces))
                : forward(state(stateMap), false, false, stateMap, workspaces);
    }

    @Override
    public INDArray rnnActivateUsingStoredState(INDArray newInput, boolean training, boolean storeLast,
                                                LayerWorkspaceMgr workspaces) {
        setInput(newInput, workspaces);
        if (stock) {
            return ofBase(layer -> layer.rnnActivateUsingStoredState(newInput, training, storeLast, workspaces));
        }
        return forward(state(form.hasPeepholes() ? stateMap : tBpttStateMap), training, keeps(training),
                storeLast ? tBpttStateMap : null, workspaces);
    }

    /** What the base's layer computes, bit for bit: by DL4J's own runtime, from and to this layer's states. */
    private INDArray ofBase(Function<RecurrentLayer, INDArray> action) {
        if (base == null) {
            long length = StockLayers.numParams(conf.getLayer());
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                INDArray values = AdapterLayout.interval(weights().flat(), offset, offset + length);
                base = (RecurrentLayer) StockLayers.running(StockLayers.confOf(conf.getLayer(), conf), trainingListeners, index,
                        values, false, dataType);
            }
        }
        base.setInput(input, LayerWorkspaceMgr.noWorkspaces());
        base.setMaskArray(maskArray);
        base.rnnSetPreviousState(stateMap);
        base.rnnSetTBPTTState(tBpttStateMap);
        INDArray output = action.apply(base);
        rnnSetPreviousState(base.rnnGetPreviousState());
        rnnSetTBPTTState(base.rnnGetTBPTTState());
        return output;
    }

    /** Nothing is kept by a frozen layer below which nothing trains. */
    private boolean keeps(boolean training) {
        return training && (inputGradient != InputGradient.UNNEEDED || !gradients.isEmpty());
    }

    private @Nullable State state(Map<String, INDArray> map) {
        INDArray h = map.get(OUTPUT);
        INDArray c = form.isSimple() ? null : map.get(MEMORY);
        if (h == null && c == null) {
            return null;
        }
        // As in DL4J, what is missing is zero.
        INDArray given = Objects.requireNonNull(h != null ? h : c);
        return new State(form.isSimple() || c != null ? c : zerosLike(given), h != null ? h : zerosLike(given));
    }

    private static INDArray zerosLike(INDArray given) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return Nd4j.zeros(given.dataType(), given.shape());
        }
    }

    /**
     * @param state before the first step; null for none
     * @param keep  whether a backward pass may follow
     * @param last  where the state after the last step goes; null for nowhere
     */
    private INDArray forward(@Nullable State state, boolean training, boolean keep, @Nullable Map<String, INDArray> last,
                             LayerWorkspaceMgr workspaces) {
        pass = null;
        assertInputSet(false);
        requireSequence(state);
        applyDropOutIfNecessary(training, workspaces);
        int examples = (int) input.size(0);
        ArrayType lifetime = keep ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM;
        INDArray x = TimeMajor.rows(permuteIfNWC(input), dataType, workspaces, ArrayType.FF_WORKING_MEM);
        INDArray z = workspaces.createUninitialized(lifetime, dataType, new long[] {x.size(0), gateColumns()}, 'c');
        long count = x.size(0) / examples;
        inputProduct(examples, count, false).times(x, z);
        State kept = keep ? room(lifetime, x.size(0) + examples, workspaces) : null;
        INDArray output = ofUnits(ArrayType.ACTIVATIONS, x.size(0), workspaces);
        double[][] masks = masks(count);
        Recurrence<?> steps = recurrence(examples);
        steps.forward(z, weights().bias(prefix + BIAS).toDoubleVector(), recurrentProduct(examples, count, false), kept,
                state == null ? null : dense(state), masks, output);
        if (last != null) {
            State end = room(ArrayType.FF_WORKING_MEM, examples, workspaces);
            steps.writeState(end);
            putState(last, INDArray::dup, end);
        }
        pass = kept == null ? null : new Pass(z, kept, state, masks);
        return permuteIfNWC(TimeMajor.sequence(output, examples));
    }

    private State room(ArrayType lifetime, long rows, LayerWorkspaceMgr workspaces) {
        return new State(form.isSimple() ? null : ofUnits(lifetime, rows, workspaces), ofUnits(lifetime, rows, workspaces));
    }

    private INDArray ofUnits(ArrayType lifetime, long rows, LayerWorkspaceMgr workspaces) {
        return workspaces.createUninitialized(lifetime, dataType, new long[] {rows, form.units()}, 'c');
    }

    private long gateColumns() {
        return form.isSimple() ? form.units() : 4L * form.units();
    }

    private Recurrence<?> recurrence(int examples) {
        if (recurrence == null || !recurrence.isFor(examples)) {
            recurrence = Recurrence.of(form, examples, dataType);
        }
        return recurrence;
    }

    private State dense(State state) {
        return new State(state.c() == null ? null : dense(state.c()), dense(state.h()));
    }

    private INDArray dense(INDArray array) {
        INDArray own = array.castTo(dataType);
        return Lie.isPlainAndC(own) ? own : own.dup('c');
    }

    /** @param taken an array of its own from each of the state's arrays */
    private static void putState(Map<String, INDArray> to, UnaryOperator<INDArray> taken, State from) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            to.put(OUTPUT, taken.apply(from.h()));
            if (from.c() != null) {
                to.put(MEMORY, taken.apply(from.c()));
            }
        }
    }

    private void requireSequence(@Nullable State state) {
        if (input.rank() != 3) {
            throw new IllegalStateException("3D input expected to RNN layer expected, got " + input.rank() + " " + layerId());
        }
        long nIn = permuteIfNWC(input).size(1);
        if (nIn != layerConf().getNIn()) {
            throw new DL4JInvalidInputException("Received input with size(1) = " + nIn + " (input array shape = "
                    + Arrays.toString(input.shape()) + "); input.size(1) must match layer nIn size (nIn = "
                    + layerConf().getNIn() + ") " + layerId());
        }
        if (input.isEmpty() || input.length() == 0) {
            throw new IllegalArgumentException("Invalid input: not set or 0 length " + layerId());
        }
        long[] shape = {input.size(0), form.units()};
        if (state != null && (!Arrays.equals(state.h().shape(), shape)
                || state.c() != null && !Arrays.equals(state.c().shape(), shape))) {
            throw new IllegalStateException("Invalid RNN previous state (last time step activations/initialization): rnnTimeStep "
                    + "with different minibatch size, or forgot to call rnnClearPreviousState between batches? Previous step "
                    + "output = " + Arrays.toString(state.h().shape())
                    + (state.c() == null ? "" : ", memory = " + Arrays.toString(state.c().shape())) + ", which must be "
                    + Arrays.toString(shape) + "; current input = " + Arrays.toString(input.shape()) + " " + layerId());
        }
    }

    /** For each step a factor for each example; null for no mask. */
    private double @Nullable [][] masks(long steps) {
        if (maskArray == null) {
            return null;
        }
        if (maskArray.rank() != 2 || maskArray.size(0) != input.size(0) || maskArray.size(1) < steps) {
            throw new DL4JInvalidInputException("A mask of shape " + Arrays.toString(maskArray.shape())
                    + " does not fit the input, which has " + input.size(0) + " examples and " + steps + " steps. Give a mask "
                    + "[examples, steps] " + layerId());
        }
        return maskArray.castTo(DataType.DOUBLE).transpose().toDoubleMatrix();
    }

    /** For all steps at once. */
    private AdaptedProduct inputProduct(long examples, long steps) {
        List<Route> ofStep = weights().paths(prefix + W, examples);
        boolean isForAll = ofStep.stream().allMatch(path -> path.from() == 0 && path.to() == examples);
        List<Route> paths = isForAll ? ofStep.stream().map(path -> path.over(0, examples * steps)).toList()
                : LongStream.range(0, steps).map(step -> step * examples).boxed().flatMap(row -> ofStep.stream()
                        .map(path -> path.over(row + path.from(), row + path.to()))).toList();
        return new AdaptedProduct(weights().matrix(prefix + W), paths, slimOfInput);
    }

    /** The same for so many rows that they make up for a copy of W. */
    private AdaptedProduct inputProduct(long examples, long steps, boolean transposed) {
        AdaptedProduct any = inputProduct(examples, steps);
        return examples * steps < MANY_ROWS ? any : any.forManyProducts(examples * steps, transposed);
    }

    /** For one step at a time. */
    private AdaptedProduct recurrentProduct(long examples) {
        return new AdaptedProduct(weights().matrix(prefix + RW), weights().paths(prefix + RW, examples), slimOfState);
    }

    /** For many steps, one after the other. */
    private AdaptedProduct recurrentProduct(long examples, long steps, boolean transposed) {
        AdaptedProduct one = recurrentProduct(examples);
        return steps < MANY ? one : one.forManyProducts(examples, transposed);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        return backward(passFrom(null, workspaces), epsilon, Integer.MAX_VALUE, workspaces);
    }

    /** As in DL4J, an LSTM starts from the stored state, and a SimpleRnn from zeros. */
    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
        if (form.isSimple()) {
            return backward(passFrom(null, workspaces), epsilon, length > 0 ? length : Integer.MAX_VALUE, workspaces);
        }
        Pass kept = passFrom(state(stateMap), workspaces);
        long rows = kept.z().size(0);
        putState(tBpttStateMap, state -> Views.rows(state, rows, rows + input.size(0)).dup('c'), kept.kept());
        return backward(kept, epsilon, length, workspaces);
    }

    /** The pass of the present input from a state; computed unless it is there. */
    private Pass passFrom(@Nullable State state, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        if (pass == null || !pass.isUsable() || !pass.startsFrom(state)) {
            forward(state, true, true, null, workspaces);
        }
        return Objects.requireNonNull(pass);
    }

    /** @param length how many steps back gradients go, from the last one */
    private Pair<Gradient, INDArray> backward(Pass kept, INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
        long examples = input.size(0);
        long steps = kept.z().size(0) / examples;
        long first = Math.max(0, steps - length);
        INDArray eps = TimeMajor.rows(permuteIfNWC(epsilon), dataType, workspaces, ArrayType.BP_WORKING_MEM);
        double[][] peepholes = recurrence((int) examples).backward(kept.z(), recurrentProduct(examples, steps, true), kept.kept(),
                kept.masks(), first, eps);
        long from = first * examples;
        INDArray dz = Views.rows(kept.z(), from, kept.z().size(0));
        lowRankGradients(kept, dz, from, peepholes, workspaces);
        INDArray bias = gradients.get(prefix + BIAS);
        if (bias != null) {
            bias.assign(dz.sum(0).reshape(bias.shape()));
        }
        INDArray dx = inputGradient.isNeeded() ? inputGradient(dz, from, workspaces) : null;
        pass = null;
        Gradient gradient = new DefaultGradient();
        gradients.forEach(gradient::setGradientFor);
        return new Pair<>(gradient, dx);
    }

    private void lowRankGradients(Pass kept, INDArray dz, long from, double @Nullable [][] peepholes,
                                  LayerWorkspaceMgr workspaces) {
        long examples = input.size(0);
        INDArray h = Views.rows(kept.kept().h(), from, kept.z().size(0));
        if (form.isSimple()) {
            // DL4J's SimpleRnn leaves out the state before the first step that backpropagation reaches.
            Views.rows(h, 0, examples).assign(0);
        }
        AdaptedProduct ofState = recurrentProduct(examples);
        List<SlimGradients.Part> parts = new ArrayList<>();
        if (trains(W)) {
            INDArray x = TimeMajor.rows(permuteIfNWC(input), dataType, workspaces, ArrayType.BP_WORKING_MEM);
            parts.add(part(W, inputProduct(examples, x.size(0) / examples), Views.rows(x, from, x.size(0))));
        }
        if (trains(RW)) {
            parts.add(part(RW, ofState, h));
        }
        if (!parts.isEmpty()) {
            SlimGradients.compute(parts, dz);
        }
        if (trains(RW) && peepholes != null) {
            ofState.specialGradients(Nd4j.createFromArray(peepholes).castTo(dataType).transpose(), gradient(RW, Variant.A),
                    gradient(RW, Variant.B));
        }
    }

    private SlimGradients.Part part(String key, AdaptedProduct product, INDArray x) {
        return product.gradients(x, gradient(key, Variant.A), gradient(key, Variant.B));
    }

    private boolean trains(String key) {
        return gradient(key, Variant.A) != null || gradient(key, Variant.B) != null;
    }

    /** Where the gradient of a matrix's A or B goes; null unless it trains. */
    private @Nullable INDArray gradient(String key, String part) {
        return weights().gradient(gradients, prefix + key, part);
    }

    private INDArray inputGradient(INDArray dz, long from, LayerWorkspaceMgr workspaces) {
        INDArray rows = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType,
                new long[] {from + dz.size(0), layerConf().getNIn()}, 'c');
        if (from > 0) {
            Views.rows(rows, 0, from).assign(0);
        }
        inputProduct(input.size(0), dz.size(0) / input.size(0), true)
                .timesTransposed(dz, Views.rows(rows, from, rows.size(0)));
        return backpropDropOutIfPresent(permuteIfNWC(TimeMajor.sequence(rows, input.size(0))));
    }
}

package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Footprint;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * What DL4J's workspaces grow to once they have learnt. Each gives its room back when it is left and starts anew when it is
 * entered. So each becomes as large as the most that it held at once, and a little larger, by its {@code overallocationLimit}.
 * The workspace of activations is entered once a step and holds all layers'; the working memory is entered once for each layer
 * and direction. Gradients of activations take turns in two workspaces in a MultiLayerNetwork; a ComputationGraph opens another
 * one for each gradient that is not used up yet. What is computed again in the backward pass has two more workspaces, which
 * stretch after stretch uses: one for outputs, and working memory.
 *
 * @param activations values of what is kept from the forward pass to the backward pass
 * @param working     values of everything else in workspaces
 * @param outside     values outside of workspaces
 */
public record Workspaces(long activations, long working, long outside) {

    private static final double MORE_ACTIVATIONS = 1.05;
    private static final double MORE_WORKING = 1.02;

    /**
     * The workspaces of a MultiLayerNetwork.
     *
     * @param steps   in the order of the layers
     * @param learned whether there are workspaces at all: without them nothing is larger than it must be
     */
    public static Workspaces ofChain(List<Step> steps, boolean learned) {
        long[] passed = new long[2];
        for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i).backwards()) {
                passed[i % 2] = Math.max(passed[i % 2], steps.get(i).footprint().passed());
            }
        }
        return of(steps, List.of(), passed[0] + passed[1], learned);
    }

    /**
     * The workspaces of a ComputationGraph.
     *
     * @param inputs  names of its inputs
     * @param steps   in topological order
     * @param again   stretches that are computed again, by the positions of their steps; the output of the last one is kept
     * @param learned see {@link #ofChain}
     */
    public static Workspaces ofGraph(List<String> inputs, List<Step> steps, List<List<Integer>> again, boolean learned) {
        return of(steps, again.stream().map(stretch -> stretch.stream().map(steps::get).toList()).toList(),
                passedInGraph(inputs, steps), learned);
    }

    private static Workspaces of(List<Step> steps, List<List<Step>> again, long passed, boolean learned) {
        long kept = kept(steps);
        long stretch = 0;
        long workingAgain = 0;
        for (List<Step> computed : again) {
            long within = kept(computed);
            kept += computed.get(computed.size() - 1).output() - within;
            // As the loop's workspace, that of outputs which are computed again learns from the first stretch.
            stretch = Math.max(stretch, learned && stretch == 0 ? Math.round(MORE_ACTIVATIONS * within) : within);
            workingAgain = Math.max(workingAgain, most(computed, Footprint::forward));
        }
        long working = Math.max(most(steps, Footprint::forward), most(steps, Footprint::backward)) + workingAgain;
        // The loop's workspace learns in the first loop, and grows without another addition when a later one takes more.
        long loop = most(steps, Footprint::loop);
        long outside = steps.stream().mapToLong(step -> step.footprint().standing()).sum() + most(steps, Footprint::beside);
        return learned ? new Workspaces(Math.round(MORE_ACTIVATIONS * kept) + stretch,
                Math.round(MORE_WORKING * (working + passed)) + loop, outside)
                : new Workspaces(kept + stretch, working + passed + loop, outside);
    }

    private static long kept(List<Step> steps) {
        return steps.stream().mapToLong(step -> step.footprint().kept()).sum();
    }

    private static long most(List<Step> steps, ToLongFunction<Footprint> part) {
        return steps.stream().mapToLong(step -> part.applyAsLong(step.footprint())).max().orElse(0);
    }

    /**
     * Opens and closes workspaces as {@code ComputationGraph.calcBackpropGradients} does: the one that was freed last is taken
     * first.
     */
    private static long passedInGraph(List<String> inputs, List<Step> steps) {
        Map<String, Integer> positions = new HashMap<>();
        inputs.forEach(input -> positions.put(input, positions.size()));
        steps.forEach(step -> positions.put(step.name(), positions.size()));
        List<Long> sizes = new ArrayList<>();
        Deque<Integer> free = new ArrayDeque<>();
        Map<Integer, List<Integer>> closing = new HashMap<>();
        for (int i = positions.size() - 1; i >= 0; i--) {
            Step step = i < inputs.size() ? null : steps.get(i - inputs.size());
            if (step != null && step.backwards()) {
                int room = free.isEmpty() ? sizes.size() : free.pop();
                if (room == sizes.size()) {
                    sizes.add(0L);
                }
                sizes.set(room, Math.max(sizes.get(room), step.footprint().passed()));
                int usedUp = step.inputs().stream().mapToInt(positions::get).min().orElse(0);
                closing.computeIfAbsent(usedUp, key -> new ArrayList<>()).add(room);
            }
            closing.getOrDefault(i, List.of()).forEach(free::push);
        }
        return sizes.stream().mapToLong(Long::longValue).sum();
    }
}
